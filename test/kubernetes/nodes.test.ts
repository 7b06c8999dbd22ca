// Whole nodes: kubelet, containerd and kube-proxy on hosts of the lab, and the DaemonSet of deploy/kubernetes.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWholeNodes, type WholeNodes } from '../lab/kubernetes/whole-nodes.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';

describe('a cluster of whole nodes', () => {
  let cluster: WholeNodes;
  beforeAll(async () => {
    const t = Date.now();
    cluster = await openWholeNodes({ nodes: 2 });
    console.log('open', Date.now() - t);
  }, 120_000);
  afterAll(async () => {
    if (process.env['KEEP']) await new Promise((r) => setTimeout(r, 400_000));
    await cluster?.[Symbol.asyncDispose]();
  }, 500_000);

  it('become ready', async () => {
    const { plane } = cluster;
    const t = Date.now();
    await plane.kubectl('apply', '-k', join(PROJECT_ROOT, 'deploy/kubernetes/base'));
    console.log(await plane.kubectl('get', 'nodes', '-o', 'wide'));
    await plane.kubectl('-n', 'twill', 'rollout', 'status', 'daemonset/twill', '--timeout=60s').catch(console.log);
    console.log('rollout', Date.now() - t);
    await plane.kubectl('wait', 'node', '--all', '--for=condition=Ready', '--timeout=60s').catch(console.log);
    console.log('ready', Date.now() - t);
    console.log(await plane.kubectl('get', 'nodes,pods', '-A', '-o', 'wide'));
    console.log(await plane.kubectl('describe', 'pods', '-A'));
    expect(1).toBe(1);
  }, 150_000);
});

// deploy/kubernetes/MOVING.md on whole nodes: every command of it runs as it stands there, from a real kube-flannel to
// Twill and back, node by node.
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Container } from '../lab/container.ts';
import { readCniPlugins } from '../lab/engines/cni-plugins.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { readFlanneld } from '../lab/flanneld.ts';
import { POD_NETWORK } from '../lab/kubernetes/control-plane.ts';
import { startPods } from '../lab/kubernetes/pods.ts';
import { kubernetesProgram } from '../lab/kubernetes/programs.ts';
import type { WholeNode } from '../lab/kubernetes/whole-node.ts';
import { openWholeNodes, type WholeNodes } from '../lab/kubernetes/whole-nodes.ts';
import { readChapter, sectionsIn } from '../lab/page.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, title } from '../support/needs.ts';
import { kubeFlannel } from './kube-flannel.ts';
import { NEEDS_WHOLE_NODES } from './whole-nodes-need.ts';

const flanneld = await readFlanneld();
const NEEDS = allOf(NEEDS_WHOLE_NODES, {
  missing: flanneld.missing !== undefined,
  reason: `needs ${flanneld.title}: ${flanneld.missing}`,
});

const PAGE = 'deploy/kubernetes/MOVING.md';
const FLANNEL_IMAGE = 'kube-flannel:1';
const RESERVED = '/var/lib/cni/networks/cbr0';
const READY_MS = 60_000;
const TEST_MS = 200_000;

describe.skipIf(NEEDS.missing)(title('a move from kube-flannel to Twill and back', NEEDS), () => {
  let cluster: WholeNodes;
  let checkout: string;

  beforeAll(async () => {
    const { flannelFolder } = await readCniPlugins();
    cluster = await openWholeNodes({
      nodes: 2,
      images: [{ name: FLANNEL_IMAGE, programs: [flanneld.path, join(flannelFolder, 'flannel')] }],
    });
    // The commands write into it.
    checkout = join(cluster.lab.folder, 'checkout');
    await mkdir(join(checkout, 'bin'), { recursive: true });
    await cp(join(PROJECT_ROOT, 'deploy'), join(checkout, 'deploy'), { recursive: true });
    const kubectl = `exec ${kubernetesProgram('kubectl')} --kubeconfig=${cluster.plane.kubeconfig} "$@"`;
    await writeFile(join(checkout, 'bin/kubectl'), `#!/bin/sh\n${kubectl}\n`, { mode: 0o755 });
  }, TEST_MS);
  afterAll(() => cluster?.[Symbol.asyncDispose](), 30_000);

  const kubectl = (...args: readonly string[]): Promise<string> => cluster.plane.kubectl(...args);

  /** Runs the commands of a chapter, on one node where they are for each. Gives the output of the last block. */
  async function follow(chapter: string, node?: string): Promise<string> {
    const steps = sectionsIn(await readChapter(chapter, PAGE)).flatMap((section) => section.steps);
    expect(steps.length).toBeGreaterThan(0);
    let output = '';
    for (const { script, remark } of steps) {
      if ((remark === ', for each node') !== (node !== undefined)) continue;
      const env = {
        ...process.env,
        PATH: `${join(checkout, 'bin')}:${process.env['PATH']}`,
        NODE: node ?? '',
      };
      const argv = ['env', '-C', checkout, 'sh', '-ec', script];
      output = await cluster.lab.router.run(argv, { env, timeoutMs: TEST_MS });
    }
    return output;
  }

  const podOf = async (app: string, node: string): Promise<string> =>
    kubectl('get', 'pod', '-A', `--selector=${app}`, `--field-selector=spec.nodeName=${node}`, '-o=name');
  const reaches = (from: Container, to: Container): Promise<unknown> =>
    waitFor(`${from.name} reaches ${to.name}`, READY_MS, () =>
      sourceSeenBy(to.address, from.namespace).then(
        (source) => source === from.address,
        () => false,
      ),
    );
  const reserved = async ({ host }: WholeNode): Promise<readonly string[]> =>
    (await readdir(host.path(RESERVED))).filter((name) => /^[\d.]+$/.test(name)).toSorted();

  it(
    'every command of MOVING.md does as it says, and no address leaks or is given twice',
    async () => {
      const [one] = cluster.nodes as [WholeNode, WholeNode];
      await cluster.plane.apply(...kubeFlannel(FLANNEL_IMAGE, POD_NETWORK));
      await kubectl('-n', 'kube-flannel', 'rollout', 'status', 'daemonset/kube-flannel-ds', '--timeout=90s');
      await kubectl('wait', 'node', '--all', '--for=condition=Ready', '--timeout=60s');
      const [f1, f2] = (await startPods(cluster, { f1: 'h1', f2: 'h2' })) as [Container, Container];
      await reaches(f1, f2);
      await using stream = new PingStream(f1, f2, join(cluster.lab.folder, 'moving.log'), 20);
      await stream.flows();

      const flannels = await Promise.all(['h1', 'h2'].map((node) => podOf('app=flannel', node)));
      expect(await follow('Prepare')).toMatch(/^twill +0 /m);
      // kube-flannel was not restarted.
      expect(await Promise.all(['h1', 'h2'].map((node) => podOf('app=flannel', node)))).toEqual(flannels);

      expect(await follow('A node to Twill', 'h1')).toMatch(/h1 +ready for [^]* h2 .* planned /);
      expect(await podOf('app=flannel', 'h1')).toBe('');
      const [t1] = (await startPods(cluster, { t1: 'h1' })) as [Container];
      expect(t1.address).not.toBe(f1.address);
      for (const [from, to] of [
        [f1, f2],
        [f2, f1],
        [t1, f2],
        [f2, t1],
      ] as const)
        await reaches(from, to);

      expect(await follow('A node to Twill', 'h2')).toMatch(/h2 +ready for [^]* h1 .* planned /);
      await reaches(t1, f2);

      await follow('Back to kube-flannel', 'h1');
      expect(await podOf('app.kubernetes.io/name=twill', 'h1')).toBe('');
      const [g1] = (await startPods(cluster, { g1: 'h1' })) as [Container];
      expect(new Set([f1, t1, g1].map(({ address }) => address)).size).toBe(3);
      for (const [from, to] of [
        [g1, f2],
        [f2, g1],
        [t1, f2],
        [f1, f2],
      ] as const)
        await reaches(from, to);
      // What was made under Twill and before it is freed by kube-flannel's plugin.
      await kubectl('delete', 'pod', 't1', '--timeout=60s');
      await waitFor('the address is free', READY_MS, async () => !(await reserved(one)).includes(t1.address));
      expect(await reserved(one)).toEqual([f1.address, g1.address].toSorted());

      await follow('A node to Twill', 'h1');
      await follow('When every node runs Twill');
      for (const node of ['h1', 'h2']) await follow('When every node runs Twill', node);
      for (const node of ['h1', 'h2']) {
        expect(await podOf('app=flannel', node)).toBe('');
        expect(await podOf('app.kubernetes.io/name=twill', node)).toContain('pod/');
      }
      await kubectl('delete', 'pod', 'g1', '--timeout=60s');
      await waitFor('the address is free', READY_MS, async () => !(await reserved(one)).includes(g1.address));
      await reaches(f1, f2);
      await stream.flows();
      // vxlan loses packets of 0.2 s at most on each way to Twill: of 50 a second ten, three times.
      expect(await stream.lost()).toBeLessThanOrEqual(30);
    },
    TEST_MS,
  );
});

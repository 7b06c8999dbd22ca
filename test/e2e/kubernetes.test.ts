// The agent as a program on a node of Kubernetes, in the private network namespace of the suite.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NodesApi, startNodesApi } from '../fakes/nodes-api.ts';
import { run } from '../lab/namespace.ts';
import { TWILL } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';
import { nodeJson, vxlanAnnotations } from '../support/node-json.ts';

const PORT = 8_479;
const MAC = '02:00:00:00:00:0a';
const own = (podCidr: string, more: object = {}): ReturnType<typeof nodeJson> =>
  nodeJson('n1', { podCidrs: [podCidr], annotations: vxlanAnnotations('192.168.78.9', MAC), ...more });
const peer = nodeJson('n2', { podCidrs: ['10.244.2.0/24'], address: '192.168.78.2' });

async function answer(path: string): Promise<string> {
  return fetch(`http://127.0.0.1:${PORT}${path}`).then(
    (response) => response.text(),
    () => '',
  );
}

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('a node of Kubernetes', NEEDS_PRIVATE_NETNS), () => {
  let folder: string;
  let server: NodesApi;
  let flags: readonly string[];
  let agent: LabProcess | undefined;
  const env = { NODE_NAME: 'n1' };
  const file = (name: string): string => join(folder, name);
  const twill = (command: string, ...args: readonly string[]): Promise<string> =>
    run(['env', 'NODE_NAME=n1', ...TWILL, command, ...args, ...flags]);
  const routes = (): Promise<string> => run(['ip', 'route', 'show', 'proto', '84']);
  const until = (path: string, text: string): Promise<unknown> =>
    waitFor(`${path} says ${text}`, 20_000, async () => (await answer(path)).includes(text), 50);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tw-kube-node-'));
    await run(['ip', 'link', 'add', 'kube0', 'type', 'veth', 'peer', 'name', 'kube0-end']);
    await run(['ip', 'link', 'set', 'kube0-end', 'up']);
    await run(['ip', 'address', 'add', '192.168.78.1/24', 'dev', 'kube0']);
    await run(['ip', 'link', 'set', 'kube0', 'up']);
    const network = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan', VNI: 78 } };
    await writeFile(file('net-conf.json'), JSON.stringify(network));
    server = await startNodesApi();
    flags = [
      '--kube-subnet-mgr',
      `--kube-api-url=${server.api.url}`,
      `--net-config-path=${file('net-conf.json')}`,
      `--subnet-file=${file('subnet.env')}`,
      '--iface=kube0',
      `--healthz-port=${PORT}`,
    ];
  });
  afterAll(async () => {
    await agent?.stop();
    await run([...TWILL, 'cleanup', ...flags]);
    await run(['ip', 'link', 'delete', 'kube0']);
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('waits alive for its Node, then uses its podCIDR with the MAC that peers know, and announces itself', async () => {
    agent = new LabProcess([...TWILL, 'run', ...flags], file('agent.log'), env);
    await until('/readyz', 'Node n1 does not exist; a start of kubelet registers it');
    expect(await answer('/healthz')).toBe('ok\n');
    server.put('n2', peer);
    server.put('n1', own('10.244.1.0/24'));
    await until('/readyz', 'ready');
    expect(await readFile(file('subnet.env'), 'utf8')).toContain('FLANNEL_SUBNET=10.244.1.1/24\n');
    expect(await run(['ip', 'link', 'show', 'flannel.78'])).toContain(MAC);
    expect(await routes()).toContain('10.244.2.0/24 via 10.244.2.0 dev flannel.78');
    await waitFor('the condition', 5_000, () => server.get('n1')?.status.conditions.length === 2);
    expect(server.get('n1')).toMatchObject({
      metadata: {
        annotations: {
          'flannel.alpha.coreos.com/backend-data': `{"VNI":78,"VtepMAC":"${MAC}"}`,
          'flannel.alpha.coreos.com/public-ip': '192.168.78.1',
        },
      },
      status: { conditions: [{ type: 'Ready' }, { type: 'NetworkUnavailable', status: 'False' }] },
    });
  });

  it('puts its annotations back, and counts that', async () => {
    server.put('n1', own('10.244.1.0/24'));
    await waitFor(
      'the annotation',
      10_000,
      () => server.get('n1')?.metadata.annotations['flannel.alpha.coreos.com/public-ip'] === '192.168.78.1',
    );
    await until('/metrics', 'twill_rewritten_annotations_total 1');
  });

  it('shows its plan, its configuration and the one place to change that', async () => {
    expect(await twill('plan')).toContain('subnet 10.244.1.0/24 (assigned to this node), mtu 1450\n');
    expect(JSON.parse(await twill('network', 'get'))).toMatchObject({ Network: '10.244.0.0/16' });
    await expect(twill('network', 'set', '{"Network":"10.5.0.0/16"}')).rejects.toThrow(
      `the network configuration is the file ${file('net-conf.json')}, which is not ours`,
    );
  });

  it('keeps the MAC of the device that stands at its next start, and follows peers that went meanwhile', async () => {
    await agent?.stop();
    server.put('n2', undefined);
    // The device counts more than an annotation that somebody has overwritten.
    server.put('n1', { ...own('10.244.1.0/24'), ...nodeJson('n1', { podCidrs: ['10.244.1.0/24'] }) });
    expect(await routes()).toContain('10.244.2.0/24');
    agent = new LabProcess([...TWILL, 'run', ...flags], file('agent.log'), env);
    await until('/readyz', 'ready');
    expect(await routes()).toBe('');
    expect(await run(['ip', 'link', 'show', 'flannel.78'])).toContain(MAC);
  });

  it('uses another podCIDR when its Node was made again, and keeps its routes until then', async () => {
    server.put('n2', peer);
    server.put('n1', undefined);
    await until('/readyz', 'Node n1 does not exist');
    expect(await routes()).toContain('10.244.2.0/24');
    server.put('n1', own('10.244.9.0/24', { uid: 'another' }));
    await waitFor('the next subnet', 10_000, async () =>
      (await readFile(file('subnet.env'), 'utf8')).includes('FLANNEL_SUBNET=10.244.9.1/24\n'),
    );
    await until('/readyz', 'ready');
  });
});

// The agent as a program on a node of a real API server, in the private network namespace of the suite. It has the
// least rights, by a kubeconfig.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiServer, startApiServer, TOKENS } from '../lab/kubernetes/api-server.ts';
import { run } from '../lab/namespace.ts';
import { TWILL } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { checkMetrics, promtoolFailure } from '../lab/promtool.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';
import { vxlanAnnotations } from '../support/node-json.ts';
import { readScrape, strangersIn } from '../support/scrape.ts';
import { grant, LEAST_RIGHTS, NEEDS_API_SERVER, newNode } from './bed.ts';

const NEEDS = allOf(NEEDS_PRIVATE_NETNS, NEEDS_API_SERVER);
const PORT = 8_479;
const MAC = '02:00:00:00:00:0a';
const PREFIX = 'flannel.alpha.coreos.com';
/** A list that lacks the own Node is looked at again after some seconds. */
const HEALS_MS = 30_000;

const annotations = (address: string, mac?: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(vxlanAnnotations(address, mac)).map(([end, value]) => [`${PREFIX}/${end}`, value]),
  );

interface ServedNode {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly status: { readonly conditions?: readonly Readonly<Record<string, string>>[] };
}

describe.skipIf(NEEDS.missing)(title('an agent on a node of Kubernetes', NEEDS), () => {
  let server: ApiServer;
  let flags: readonly string[];
  let agent: LabProcess | undefined;
  const file = (name: string): string => join(server.folder, name);
  const twill = (command: string, ...args: readonly string[]): Promise<string> =>
    run(['env', 'NODE_NAME=n1', ...TWILL, command, ...args, ...flags]);
  const start = (): void => {
    agent = new LabProcess([...TWILL, 'run', ...flags], file('agent.log'), { NODE_NAME: 'n1' });
  };
  const answer = (path: string): Promise<string> =>
    fetch(`http://127.0.0.1:${PORT}${path}`).then(
      (response) => response.text(),
      () => '',
    );
  const until = (path: string, text: string): Promise<string> =>
    waitFor(
      `${path} says ${text}`,
      HEALS_MS,
      async () => {
        const found = await answer(path);
        return found.includes(text) && found;
      },
      50,
    );
  const routes = (): Promise<string> => run(['ip', 'route', 'show', 'proto', '84']);
  const untilRoutes = (text: string): Promise<unknown> =>
    waitFor(`routes ${text}`, HEALS_MS, async () => (await routes()).trim() === text, 50);
  const subnetEnv = (): Promise<string> => readFile(file('subnet.env'), 'utf8');
  const link = (): Promise<string> => run(['ip', 'link', 'show', 'flannel.78']);
  const own = async (): Promise<ServedNode> => (await server.admin('GET', '/api/v1/nodes/n1')) as ServedNode;
  const create = (...node: Parameters<typeof newNode>): Promise<unknown> =>
    server.admin('POST', '/api/v1/nodes', newNode(...node));
  const remove = (name: string): Promise<unknown> => server.admin('DELETE', `/api/v1/nodes/${name}`);
  const annotate = (values: Readonly<Record<string, string | null>>): Promise<unknown> =>
    server.admin(
      'PATCH',
      '/api/v1/nodes/n1',
      { metadata: { annotations: values } },
      'application/merge-patch+json',
    );
  const untilAnnotated = (name: string, value: string): Promise<unknown> =>
    waitFor(`${name} is ${value}`, HEALS_MS, async () => {
      const { metadata } = await own();
      return metadata.annotations[`${PREFIX}/${name}`] === value;
    });
  const PEER_ROUTE = '10.244.2.0/24 via 10.244.2.0 dev flannel.78 onlink';

  beforeAll(async () => {
    server = await startApiServer();
    await run(['ip', 'link', 'add', 'kube0', 'type', 'veth', 'peer', 'name', 'kube0-end']);
    await run(['ip', 'link', 'set', 'kube0-end', 'up']);
    await run(['ip', 'address', 'add', '192.168.78.1/24', 'dev', 'kube0']);
    await run(['ip', 'link', 'set', 'kube0', 'up']);
    const network = { Network: '10.244.0.0/16', SubnetLen: 99, Backend: { Type: 'vxlan', VNI: 78 } };
    await writeFile(file('net-conf.json'), JSON.stringify(network));
    const kubeconfig = [
      'current-context: c',
      'contexts: [{name: c, context: {cluster: k, user: u}}]',
      `clusters: [{name: k, cluster: {server: "${server.url}", certificate-authority: "${server.caFile}"}}]`,
      `users: [{name: u, user: {token: "${TOKENS.agent}"}}]`,
    ];
    await writeFile(file('kubeconfig'), `${kubeconfig.join('\n')}\n`);
    flags = [
      '--kube-subnet-mgr',
      `--kubeconfig-file=${file('kubeconfig')}`,
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
  });

  it('is alive and says what it waits for: a right, its Node, and a podCIDR that the hint assigns', async () => {
    await grant(server, []);
    start();
    await until('/readyz', 'its ClusterRole needs the verb get on nodes');
    await grant(server, LEAST_RIGHTS);
    await until('/readyz', 'Node n1 does not exist; a start of kubelet registers it');
    await create('n2', '10.244.2.0/24', annotations('192.168.78.2'));
    await create('n1', undefined, annotations('192.168.78.9', MAC));
    const hint = await until('/readyz', 'waiting for a podCIDR of Node n1');
    expect(await answer('/healthz')).toBe('ok\n');
    const [, name = '', patch = ''] = /kubectl patch node (\S+) -p '(.*)'/.exec(hint) ?? [];
    await server.kubectl('patch', 'node', name, '-p', patch);
    await until('/readyz', 'ready');
  });

  it('has its podCIDR, the MAC that peers know, its annotations and the condition', async () => {
    expect(await subnetEnv()).toContain('FLANNEL_SUBNET=10.244.1.1/24\n');
    expect(await link()).toContain(MAC);
    await untilRoutes(PEER_ROUTE);
    await waitFor('the condition', HEALS_MS, async () =>
      (await own()).status.conditions?.some(
        ({ type, status, reason }) =>
          type === 'NetworkUnavailable' && status === 'False' && reason === 'FlannelIsUp',
      ),
    );
    expect((await own()).metadata.annotations).toMatchObject({
      [`${PREFIX}/backend-type`]: 'vxlan',
      [`${PREFIX}/backend-data`]: `{"VNI":78,"VtepMAC":"${MAC}"}`,
      [`${PREFIX}/kube-subnet-manager`]: 'true',
      [`${PREFIX}/public-ip`]: '192.168.78.1',
    });
  });

  it('puts its annotations and the condition back, and follows an overwritten address', async () => {
    await annotate({ [`${PREFIX}/backend-data`]: null, [`${PREFIX}/public-ip`]: '192.0.2.1' });
    await untilAnnotated('public-ip', '192.168.78.1');
    await untilAnnotated('backend-data', `{"VNI":78,"VtepMAC":"${MAC}"}`);
    await until('/metrics', 'twill_rewritten_annotations_total 1');
    await annotate({ [`${PREFIX}/public-ip-overwrite`]: '203.0.113.7' });
    await untilAnnotated('public-ip', '203.0.113.7');
    await annotate({ [`${PREFIX}/public-ip-overwrite`]: null });
    await untilAnnotated('public-ip', '192.168.78.1');
    const unavailable = { type: 'NetworkUnavailable', status: 'True' };
    await server.admin(
      'PATCH',
      '/api/v1/nodes/n1/status',
      { status: { conditions: [unavailable] } },
      'application/strategic-merge-patch+json',
    );
    await until('/metrics', 'twill_rewritten_annotations_total 2');
    expect((await own()).status.conditions).toMatchObject([{ ...unavailable, status: 'False' }]);
  });

  it('tells its metrics, all of which are in the table and pass promtool', async () => {
    const text = await until('/metrics', 'twill_ready 1');
    const found = readScrape(text);
    expect(strangersIn(text)).toEqual([]);
    if ((await promtoolFailure()) === undefined) expect(await checkMetrics(text)).toBe('');
    expect(found.get('twill_store_info{kind="kubernetes"}')).toBe(1);
    expect(found.get('twill_store_requests_total{op="list",result="ok"}')).toBeGreaterThan(0);
    expect(found.get('twill_store_requests_total{op="update",result="ok"}')).toBeGreaterThan(0);
    // Its first requests had no right.
    expect(found.get('twill_store_requests_total{op="read",result="failed"}')).toBeGreaterThan(0);
    expect(found.get('twill_store_connected')).toBe(1);
    expect(found.has('twill_lease_expiry_timestamp_seconds')).toBe(false);
  });

  it('shows its plan, its configuration and the one place to change that', async () => {
    expect(await twill('plan')).toContain('subnet 10.244.1.0/24 (assigned to this node), mtu 1450\n');
    expect(JSON.parse(await twill('network', 'get'))).toMatchObject({ Network: '10.244.0.0/16' });
    await expect(twill('network', 'set', '{"Network":"10.5.0.0/16"}')).rejects.toThrow(
      `the network configuration is the file ${file('net-conf.json')}, which is not ours`,
    );
  });

  it('keeps its routes while the API server is away, and its MAC and routes over a start meanwhile', async () => {
    await server.stop();
    await until('/readyz', 'connection refused');
    await agent?.stop();
    start();
    await until('/readyz', 'connection refused');
    expect((await routes()).trim()).toBe(PEER_ROUTE);
    await server.start();
    await until('/readyz', 'ready');
    expect(await link()).toContain(MAC);
    expect((await routes()).trim()).toBe(PEER_ROUTE);
  });

  it('follows, at its next start, a peer that went meanwhile, and the device counts more than the annotation', async () => {
    await agent?.stop();
    await remove('n2');
    await annotate({ [`${PREFIX}/backend-data`]: '{"VNI":1,"VtepMAC":"02:00:00:00:00:0b"}' });
    expect((await routes()).trim()).toBe(PEER_ROUTE);
    start();
    await untilRoutes('');
    expect(await link()).toContain(MAC);
    await untilAnnotated('backend-data', `{"VNI":78,"VtepMAC":"${MAC}"}`);
  });

  it('uses another podCIDR when its Node was made again, and keeps its routes until then', async () => {
    await create('n2', '10.244.2.0/24', annotations('192.168.78.2'));
    await untilRoutes(PEER_ROUTE);
    await remove('n1');
    await until('/readyz', 'Node n1 does not exist');
    expect((await routes()).trim()).toBe(PEER_ROUTE);
    await create('n1', '10.244.9.0/24');
    await waitFor('the next subnet', HEALS_MS, async () =>
      (await subnetEnv()).includes('FLANNEL_SUBNET=10.244.9.1/24\n'),
    );
    await until('/readyz', 'ready');
    await untilAnnotated('public-ip', '192.168.78.1');
  });
});

// Peers of one host as they come, change and go in a real cluster: Nodes that are deleted, made again, robbed of their
// annotations, or of other systems.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentProcess } from '../lab/agent-process.ts';
import { type ApiServer, startApiServer } from '../lab/kubernetes/api-server.ts';
import type { Host } from '../lab/lab.ts';
import { title } from '../support/needs.ts';
import { vxlanAnnotations } from '../support/node-json.ts';
import { grant, LEAST_RIGHTS } from './bed.ts';
import {
  annotate,
  createNode,
  NEEDS_HOSTS,
  type NodesBed,
  openNodes,
  overlayRoutes,
  readServed,
  untilAnswer,
} from './hosts-bed.ts';

const HEALS_MS = 20_000;
const DEVICE = 'flannel.1';

const mac = (number: number): string => `02:00:00:00:01:${number.toString(16).padStart(2, '0')}`;
const address = (number: number): string => `192.168.77.${100 + number}`;
const announced = (number: number): Readonly<Record<string, string>> =>
  vxlanAnnotations(address(number), mac(number));
const route = (subnet: string): string =>
  `${subnet} via ${subnet.split('/')[0]} dev ${DEVICE} proto 84 onlink`;

describe.skipIf(NEEDS_HOSTS.missing)(title('the peers of a host among real Nodes', NEEDS_HOSTS), () => {
  let server: ApiServer;
  let bed: NodesBed;
  let host: Host;
  let agent: AgentProcess;

  const create = (name: string, number: number, podCidr = `10.244.${number}.0/24`): Promise<void> =>
    createNode(server, name, podCidr, announced(number));
  const remove = (name: string): Promise<unknown> => server.admin('DELETE', `/api/v1/nodes/${name}`);
  const routes = (): Promise<readonly string[]> => overlayRoutes(host);
  /** The neighbour and the fdb entry of a peer. */
  const entries = async (number: number): Promise<number> => {
    const neighbours = await host.namespace.run(['ip', 'neigh', 'show', 'dev', DEVICE]);
    const fdb = await host.namespace.run(['bridge', 'fdb', 'show', 'dev', DEVICE]);
    return `${neighbours}\n${fdb}`.split('\n').filter((line) => line.includes(mac(number))).length;
  };
  const untilRoutes = (...subnets: readonly string[]): Promise<void> =>
    expect.poll(routes, { timeout: HEALS_MS, interval: 50 }).toEqual(subnets.map(route).sort());
  /** Makes the next list be the first news of what happens in `work`. */
  const betweenLists = async (work: () => Promise<void>): Promise<void> => {
    const { proxy } = bed;
    const count = (part: string): number => proxy.calls.filter(({ path }) => path.includes(part)).length;
    const [watches, lists] = [count('watch=true'), count('?limit=500')];
    proxy.fault = ({ path }) => (path.includes('watch=true') ? { status: 200, ends: false } : undefined);
    proxy.cut();
    await expect.poll(() => count('watch=true'), { timeout: HEALS_MS }).toBe(watches + 1);
    await work();
    proxy.fault = ({ path }) => {
      if (!path.includes('watch=true')) return undefined;
      proxy.fault = undefined;
      return { status: 410, body: '{"kind":"Status","code":410}' };
    };
    proxy.cut();
    await expect.poll(() => count('?limit=500'), { timeout: HEALS_MS }).toBe(lists + 1);
  };
  const lines = async (text: string): Promise<readonly string[]> =>
    (await agent.log()).split('\n').filter((line) => line.includes(text));

  beforeAll(async () => {
    server = await startApiServer();
    await grant(server, LEAST_RIGHTS);
    bed = await openNodes({ server, hosts: 1, conf: { Backend: { Type: 'vxlan' } } });
    host = bed.lab.host(1);
    await bed.register(host);
    agent = bed.startTwill(host);
    await agent.waitReady();
  });
  afterAll(async () => {
    await bed?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  it('go wholly with their Nodes: route, neighbour and fdb entry', async () => {
    await create('peer-2', 2);
    await create('peer-3', 3);
    await untilRoutes('10.244.2.0/24', '10.244.3.0/24');
    expect(await entries(2)).toBe(2);
    await remove('peer-2');
    await untilRoutes('10.244.3.0/24');
    await expect.poll(() => entries(2)).toBe(0);
    expect(await entries(3)).toBe(2);
  });

  it('stay when their annotations are taken away', async () => {
    const gone = Object.fromEntries(Object.keys(announced(3)).map((name) => [name, null]));
    await annotate(server, 'peer-3', gone);
    await create('peer-2', 2);
    await untilRoutes('10.244.2.0/24', '10.244.3.0/24');
    await create('peer-4', 4);
    await untilRoutes('10.244.2.0/24', '10.244.3.0/24', '10.244.4.0/24');
  });

  it('have the other podCIDR when their Nodes are made again, live and between two lists, and no others change', async () => {
    await remove('peer-2');
    await create('peer-2', 2, '10.244.22.0/24');
    await untilRoutes('10.244.22.0/24', '10.244.3.0/24', '10.244.4.0/24');
    await betweenLists(async () => {
      await remove('peer-2');
      await create('peer-2', 2, '10.244.23.0/24');
      await remove('peer-4');
    });
    // The one without annotations is there, too.
    await untilRoutes('10.244.23.0/24', '10.244.3.0/24');
    expect([await entries(2), await entries(3), await entries(4)]).toEqual([2, 2, 0]);
    await remove('peer-3');
    await untilRoutes('10.244.23.0/24');
    await expect.poll(() => entries(3)).toBe(0);
  });

  it('of an earlier run go with the first list of the next one, and not before', async () => {
    await create('peer-4', 4);
    await untilRoutes('10.244.23.0/24', '10.244.4.0/24');
    await agent.stop();
    await remove('peer-4');
    bed.proxy.fault = ({ path }) =>
      path.startsWith('/api/v1/nodes?') ? { status: 503, body: '{}' } : undefined;
    agent = bed.startTwill(host);
    await untilAnswer(host, '/readyz', 'HTTP status 503');
    expect(await routes()).toEqual(['10.244.23.0/24', '10.244.4.0/24'].map(route));
    bed.proxy.fault = undefined;
    await untilRoutes('10.244.23.0/24');
    expect(await entries(4)).toBe(0);
    await agent.waitReady(HEALS_MS);
  });

  it.each([
    ['a Node without flannel', {}],
    ['a Windows node of another backend', { 'backend-type': 'host-gw', 'backend-data': 'null' }],
    ['data that is no JSON', { 'backend-data': '{"VNI":1,"VtepMAC"' }],
    ['data without a MAC', { 'backend-data': 'null' }],
    ['a MAC of a group', { 'backend-data': '{"VtepMAC":"ff:ff:ff:ff:ff:ff"}' }],
    ['an address that is none', { 'public-ip': '192.168.77.300' }],
    ['the address of everybody', { 'public-ip': '255.255.255.255' }],
    ['a mark that is not quite one', { 'kube-subnet-manager': 'True' }],
  ])('are believed alone that are right: not %s, until it is', async (what, wrong) => {
    const right = announced(5);
    const values = what === 'a Node without flannel' ? {} : { ...right, ...wrong };
    await createNode(server, 'odd', '10.244.5.0/24', values);
    await create('peer-6', 6);
    await untilRoutes('10.244.23.0/24', '10.244.6.0/24');
    await untilAnswer(host, '/readyz', 'ready');
    await annotate(server, 'odd', right);
    await untilRoutes('10.244.23.0/24', '10.244.5.0/24', '10.244.6.0/24');
    await remove('odd');
    await remove('peer-6');
    await untilRoutes('10.244.23.0/24');
  });

  it('may be load balancers with a hand-made Node: data without a VNI, and host bits in the podCIDR', async () => {
    await createNode(server, 'balancer', '10.244.7.9/24', {
      ...announced(7),
      'backend-data': `{"VtepMAC":"${mac(7).toUpperCase()}"}`,
    });
    await untilRoutes('10.244.23.0/24', '10.244.7.0/24');
    expect(await entries(7)).toBe(2);
    await remove('balancer');
    await untilRoutes('10.244.23.0/24');
  });

  it('with one podCIDR: the older Node has it, one line says so, and the younger one gets it afterwards', async () => {
    await create('old', 8);
    await untilRoutes('10.244.23.0/24', '10.244.8.0/24');
    const before = (await readServed(server, 'old')).metadata;
    // Ages are in whole seconds.
    await sleep(1_100);
    await create('young', 9, '10.244.8.0/24');
    await create('peer-10', 10);
    await untilRoutes('10.244.10.0/24', '10.244.23.0/24', '10.244.8.0/24');
    expect([await entries(8), await entries(9)]).toEqual([2, 0]);
    expect((await lines(`${address(9)} with 10.244.8.0/24 is not reached`)).length).toBe(1);
    await annotate(server, 'old', { 'public-ip': address(11) });
    const fdb = () => host.namespace.run(['bridge', 'fdb', 'show', 'dev', DEVICE]);
    await expect.poll(fdb, { timeout: HEALS_MS }).toContain(`${mac(8)} dst ${address(11)}`);
    expect([await entries(8), await entries(9)]).toEqual([2, 0]);
    expect((await readServed(server, 'old')).metadata.uid).toBe(before.uid);
    await remove('old');
    await expect.poll(() => entries(9), { timeout: HEALS_MS }).toBe(2);
    expect(await entries(8)).toBe(0);
    await remove('young');
    await remove('peer-10');
    await untilRoutes('10.244.23.0/24');
  });

  it('that have our podCIDR, and are younger, change nothing here', async () => {
    await create('twin', 12, '10.244.1.0/24');
    await create('peer-2b', 13);
    await untilRoutes('10.244.13.0/24', '10.244.23.0/24');
    await untilAnswer(host, '/readyz', 'ready');
    await remove('twin');
    await remove('peer-2b');
    await untilRoutes('10.244.23.0/24');
  });
});

// The filter of the tunnel port on Linux.
//
//     container 10.5.1.2 ── 10.5.1.1 host 192.168.77.1 ══ 192.168.77.2 far, a node
//                                                         192.168.77.9      a stranger
//                                                         10.5.2.2          another container
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../agent/firewall/limits.ts';
import { createTunnelFilter } from '../../agent/firewall/tunnel-filter.ts';
import type { TunnelFilter, TunnelRules } from '../../agent/model/tunnel-filter.ts';
import { type ForgedDatagram, forge, vxlanPacket } from '../lab/forge.ts';
import { waitFor } from '../lab/wait.ts';
import { prefix } from '../support/build.ts';
import { needsNetns, title } from '../support/needs.ts';
import { createNetns, type Netns } from './netns.ts';

const need = needsNetns('nft');
const [VNI, PORT, UDP_PORT] = [7, 8472, 8285];
const [HOST, BRIDGE, NODE, STRANGER, CONTAINER, FAR_CONTAINER] = [
  '192.168.77.1',
  '10.5.1.1',
  '192.168.77.2',
  '192.168.77.9',
  '10.5.1.2',
  '10.5.2.2',
];
const NODES = [HOST, NODE];

const VXLAN: TunnelRules = {
  tunnel: { port: PORT, device: { name: 'flannel.7', vni: VNI } },
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.1.0/24'),
  addresses: [HOST],
};
const UDP: TunnelRules = { ...VXLAN, tunnel: { port: UDP_PORT, device: undefined } };

describe.skipIf(need.missing)(title('the tunnel filter', need), () => {
  let host: Netns;
  let far: Netns;
  let container: Netns;
  const made: Netns[] = [];

  beforeAll(async () => {
    for (const label of ['host', 'far', 'container']) made.push(await createNetns(label));
    [host, far, container] = made as [Netns, Netns, Netns];
    const veth = ['type', 'veth', 'peer', 'name', 'eth0', 'netns'];
    await host.exec('ip', 'link', 'add', 'eth0', ...veth, far.name);
    await host.exec('ip', 'link', 'add', 'c', ...veth, container.name);
    const addresses: readonly (readonly [Netns, string, string])[] = [
      [host, `${HOST}/24`, 'eth0'],
      [far, `${NODE}/24`, 'eth0'],
      [far, `${STRANGER}/24`, 'eth0'],
      [far, `${FAR_CONTAINER}/32`, 'lo'],
      [host, `${BRIDGE}/24`, 'c'],
      [container, `${CONTAINER}/24`, 'eth0'],
    ];
    for (const [netns, address, dev] of addresses) {
      await netns.exec('ip', 'addr', 'add', address, 'dev', dev);
      await netns.exec('ip', 'link', 'set', dev, 'up');
    }
    await host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    await host.exec('ip', 'route', 'add', '10.5.2.0/24', 'via', NODE);
    await far.exec('ip', 'route', 'add', '10.5.1.0/24', 'via', HOST);
    await container.exec('ip', 'route', 'add', 'default', 'via', BRIDGE);
    for (const netns of [host, far]) {
      const chain = 'type filter hook input priority 10; policy accept;';
      await netns.exec('nft', `table ip probe { chain input { ${chain}\n meta l4proto udp counter\n }\n }`);
    }
  });
  afterAll(async () => {
    for (const netns of made) await netns[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await host.exec('nft', 'add table ip twill-tunnel; delete table ip twill-tunnel');
  });

  const filterOf = (guardSeconds?: number): TunnelFilter =>
    createTunnelFilter({
      exec: host.run,
      sets: { change: async () => expect.fail('this file changes no set') },
      reader: { hasTable: async ({ name }) => (await host.exec('nft', 'list', 'tables')).includes(name) },
      ...(guardSeconds === undefined ? {} : { guardSeconds }),
    });

  const arrivedAt = async (netns: Netns): Promise<number> => {
    const listing = await netns.exec('nft', 'list', 'table', 'ip', 'probe');
    return Number(/counter packets (\d+)/.exec(listing)?.[1]);
  };

  /** How many of the three datagrams arrive. Links in namespaces deliver before the sender's call returns. */
  const arrive = async (from: Netns, to: Netns, datagram: Partial<ForgedDatagram>): Promise<number> => {
    const before = await arrivedAt(to);
    await from.exec(...forge({ to: HOST, port: PORT, payload: vxlanPacket(VNI), ...datagram }));
    return (await arrivedAt(to)) - before;
  };
  const as = (address: string, port?: number): Partial<ForgedDatagram> => ({
    from: { address, ...(port === undefined ? {} : { port }) },
  });

  it('packets to the vxlan port arrive from nodes alone', async () => {
    expect(await arrive(far, host, as(STRANGER))).toBe(3);
    await filterOf().replace(VXLAN, NODES);
    expect(await arrive(far, host, as(NODE))).toBe(3);
    expect(await arrive(far, host, as(STRANGER))).toBe(0);
    expect(await arrive(far, host, as(FAR_CONTAINER))).toBe(0);
    expect(await arrive(container, host, {})).toBe(0);
  });

  it('packets of a node to another address of this host do not enter the tunnel', async () => {
    expect(await arrive(far, host, { ...as(NODE), to: BRIDGE })).toBe(3);
    await filterOf().replace(VXLAN, NODES);
    expect(await arrive(far, host, { ...as(NODE), to: BRIDGE })).toBe(0);
    await filterOf().replace({ ...VXLAN, addresses: [HOST, BRIDGE] }, NODES);
    expect(await arrive(far, host, { ...as(NODE), to: BRIDGE })).toBe(3);
  });

  it('other networks on the vxlan port, and other ports, are left alone', async () => {
    await filterOf().replace(VXLAN, NODES);
    expect(await arrive(far, host, { ...as(STRANGER), payload: vxlanPacket(VNI + 1) })).toBe(3);
    expect(await arrive(far, host, { ...as(STRANGER), port: 4789 })).toBe(3);
    expect(await arrive(container, far, { to: NODE, payload: vxlanPacket(VNI + 1) })).toBe(3);
  });

  it('containers reach the vxlan port of no node, and that of containers', async () => {
    expect(await arrive(container, far, { to: NODE })).toBe(3);
    await filterOf().replace(VXLAN, NODES);
    expect(await arrive(container, far, { to: NODE })).toBe(0);
    expect(await arrive(container, far, { to: FAR_CONTAINER })).toBe(3);
    expect(await arrive(container, far, { to: STRANGER })).toBe(3);
  });

  it('users without rights reach the vxlan port of no node, and containers through the tunnel', async () => {
    for (const line of [
      `link add flannel.7 type vxlan id ${VNI} dstport ${PORT} local ${HOST} dev eth0`,
      'link set flannel.7 up',
      'route add 10.5.3.0/24 via 10.5.3.0 dev flannel.7 onlink',
      'neigh add 10.5.3.0 lladdr 02:00:00:00:00:03 dev flannel.7',
    ]) {
      await host.exec('ip', ...line.split(' '));
    }
    const fdb = ['fdb', 'add', '02:00:00:00:00:03', 'dev', 'flannel.7', 'dst', NODE];
    await host.exec('bridge', ...fdb);
    const user = { isUnprivileged: true };
    expect(await arrive(host, far, { ...user, to: NODE })).toBe(3);
    await filterOf().replace(VXLAN, NODES);
    expect(await arrive(host, far, { ...user, to: NODE })).toBe(0);
    expect(await arrive(host, far, { to: NODE })).toBe(3);
    expect(await arrive(host, far, { ...user, to: '10.5.3.9', port: 53 })).toBe(3);
    expect(await arrive(host, far, { to: '10.5.3.9', port: 53 })).toBe(3);
  });

  it('packets to the udp port arrive from nodes alone, and at another address from everybody', async () => {
    const udp = { port: UDP_PORT, payload: new Uint8Array(28) };
    expect(await arrive(far, host, { ...udp, ...as(STRANGER, UDP_PORT) })).toBe(3);
    await filterOf().replace(UDP, NODES);
    expect(await arrive(far, host, { ...udp, ...as(NODE, UDP_PORT) })).toBe(3);
    expect(await arrive(far, host, { ...udp, ...as(STRANGER, UDP_PORT) })).toBe(0);
    expect(await arrive(far, host, { ...udp, ...as(STRANGER), to: BRIDGE })).toBe(3);
  });

  it('neither containers nor the address of their bridge reach the udp port of a node', async () => {
    const udp = { port: UDP_PORT, payload: new Uint8Array(28), to: NODE };
    expect(await arrive(container, far, { ...udp, ...as(CONTAINER, UDP_PORT) })).toBe(3);
    expect(await arrive(host, far, { ...udp, ...as(BRIDGE, UDP_PORT), isUnprivileged: true })).toBe(3);
    await filterOf().replace(UDP, NODES);
    expect(await arrive(container, far, { ...udp, ...as(CONTAINER, UDP_PORT) })).toBe(0);
    expect(await arrive(host, far, { ...udp, ...as(BRIDGE, UDP_PORT), isUnprivileged: true })).toBe(0);
    expect(await arrive(host, far, { ...udp, ...as(HOST, UDP_PORT), isUnprivileged: true })).toBe(3);
  });

  it('nothing is dropped any more when nobody renews the filter', async () => {
    const filter = filterOf(4);
    await filter.replace(VXLAN, NODES);
    expect(await arrive(far, host, as(STRANGER))).toBe(0);
    await waitFor('the filter is open', 10_000, async () => (await arrive(far, host, as(STRANGER))) === 3);
    expect(await arrive(container, far, { to: NODE })).toBe(3);
    expect(await filter.stands()).toBe(true);
    await filter.replace(VXLAN, NODES);
    expect(await arrive(far, host, as(STRANGER))).toBe(0);
  });

  it.each([
    ['the table is deleted', 'delete table ip twill-tunnel'],
    ['a chain is emptied', 'flush chain ip twill-tunnel twill-input'],
    ['a rule is added', 'insert rule ip twill-tunnel twill-input accept'],
  ])('the filter does not stand when %s, and does again when it is replaced', async (_, command) => {
    const filter = filterOf();
    expect(await filter.stands()).toBe(false);
    await filter.replace(VXLAN, NODES);
    expect(await filter.stands()).toBe(true);
    await host.exec('nft', command);
    expect(await filter.stands()).toBe(false);
    await filter.replace(VXLAN, NODES);
    expect(await filter.stands()).toBe(true);
    expect(await arrive(far, host, as(STRANGER))).toBe(0);
  });

  it('the filter is removed, once', async () => {
    const filter = filterOf();
    await filter.replace(VXLAN, NODES);
    expect([await filter.remove(), await filter.remove()]).toEqual([true, false]);
    expect(await arrive(far, host, as(STRANGER))).toBe(3);
  });

  it('more addresses than one argument of a program holds are taken', async () => {
    const nodes = Array.from({ length: 9_000 }, (_, i) => `172.16.${i >> 8}.${i & 255}`);
    expect(nodes.join(', ').length).toBeGreaterThan(LIMITS.argumentBytes);
    const filter = filterOf();
    await filter.replace(VXLAN, [...nodes, NODE]);
    expect(await arrive(far, host, as(NODE))).toBe(3);
  });
});

// Somebody sends packets to the tunnel port in the name of a node: from the link, from a container, and as a user
// without rights. The packets are for the container of the second host.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { type Cluster, openCluster } from '../lab/cluster.ts';
import { type ForgedDatagram, forge, frame, innerPacket, vxlanPacket } from '../lab/forge.ts';
import type { Namespace } from '../lab/namespace.ts';
import { ping } from '../lab/ping.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

const [VXLAN_PORT, UDP_PORT, INNER_PORT] = [8472, 8285, 5300];
/** A datagram that is not dropped is there long before. */
const QUIET_MS = 300;

interface Attacker {
  readonly name: string;
  readonly namespace: (cluster: Cluster) => Namespace;
  readonly isUnprivileged?: boolean;
}

const ATTACKERS: readonly Attacker[] = [
  { name: 'a stranger on the link', namespace: ({ lab }) => lab.router },
  { name: 'a container that its host masquerades', namespace: (cluster) => cluster.container(1).namespace },
  {
    name: 'a user without rights on the host of a peer',
    namespace: ({ lab }) => lab.host(1).namespace,
    isUnprivileged: true,
  },
];

/** Counts the packets that arrive in the second host's container. */
async function watchVictim(cluster: Cluster): Promise<() => Promise<number>> {
  const { namespace } = cluster.container(2);
  const chain = 'type filter hook input priority 0; policy accept;';
  await namespace.run([
    'nft',
    `table ip probe { chain input { ${chain}\n udp dport ${INNER_PORT} counter\n }\n }`,
  ]);
  return async () => {
    const listing = await namespace.run(['nft', 'list', 'table', 'ip', 'probe']);
    return Number(/counter packets (\d+)/.exec(listing)?.[1]);
  };
}

/** Lets each attacker send a datagram, and gives the names of those whose datagrams arrive. */
async function successful(
  cluster: Cluster,
  counted: () => Promise<number>,
  datagram: Pick<ForgedDatagram, 'port' | 'payload' | 'from'>,
): Promise<string[]> {
  const names: string[] = [];
  for (const { name, namespace, isUnprivileged = false } of ATTACKERS) {
    const before = await counted();
    const to = cluster.lab.host(2).address;
    // The port of a tunnel is in use where an agent runs.
    await namespace(cluster).exec(forge({ ...datagram, to, isUnprivileged }));
    await systemClock.sleep(QUIET_MS);
    if ((await counted()) > before) names.push(name);
  }
  return names;
}

/** Packets flow between containers, and from users of a host to containers. */
async function expectTraffic(cluster: Cluster, counted: () => Promise<number>): Promise<void> {
  const [from, to] = [cluster.container(1), cluster.container(2)];
  expect((await ping(from.namespace, to.address)).received).toBeGreaterThan(0);
  const before = await counted();
  const datagram = { to: to.address, port: INNER_PORT, payload: new Uint8Array(9), isUnprivileged: true };
  await cluster.lab.host(1).namespace.run(forge(datagram));
  await waitFor('the datagrams of a user arrive', 5_000, async () => (await counted()) > before);
}

describe.skipIf(NEEDS_CLUSTER.missing)(title('forged packets', NEEDS_CLUSTER), () => {
  it('nobody but a node sends into the tunnels of vxlan, unless the operator wants no filter', async () => {
    await using cluster = await openCluster({
      hosts: 2,
      backend: { Type: 'vxlan' },
      flags: ['--ip-masq', '--tunnel-filter=off'],
    });
    const { namespace } = cluster.lab.host(2);
    const [link] = JSON.parse(await namespace.run(['ip', '-j', 'link', 'show', 'flannel.1'])) as [
      { address: string },
    ];
    const packet = innerPacket(cluster.container(1).address, cluster.container(2).address);
    const attack = { port: VXLAN_PORT, payload: vxlanPacket(1, frame(link.address, packet)) };
    const counted = await watchVictim(cluster);
    expect(await successful(cluster, counted, attack)).toEqual(ATTACKERS.map(({ name }) => name));
    for (const number of [1, 2]) {
      await cluster.agent(number).stop();
      await cluster.startAgent(number, ['--tunnel-filter=auto']);
      await cluster.agent(number).waitForLine(/only nodes reach the tunnel port/);
    }
    await expectTraffic(cluster, counted);
    expect(await successful(cluster, counted, attack)).toEqual([]);
    await namespace.run(['nft', 'delete', 'table', 'ip', 'twill-tunnel']);
    await cluster.agent(2).waitForLine(/repaired the filter of the tunnel port/);
    expect(await successful(cluster, counted, attack)).toEqual([]);
    await cluster.agent(2).stop();
    await cluster.startAgent(2);
    await cluster.agent(2).waitForLine(/removed the filter of the tunnel port/);
    expect(await namespace.run(['nft', 'list', 'tables'])).not.toContain('twill-tunnel');
  });

  it('nobody but a node sends into the tunnels of udp', async () => {
    await using cluster = await openCluster({ hosts: 2, backend: { Type: 'udp' }, flags: ['--ip-masq'] });
    const counted = await watchVictim(cluster);
    await expectTraffic(cluster, counted);
    const payload = innerPacket(cluster.container(1).address, cluster.container(2).address);
    for (const port of [0, UDP_PORT]) {
      const from = { address: '0.0.0.0', port };
      expect(await successful(cluster, counted, { port: UDP_PORT, payload, from })).toEqual([]);
    }
    // The packets are good: whoever has the node's own port, while its agent is down, is taken for the node.
    await cluster.agent(1).stop();
    const before = await counted();
    const [to, from] = [cluster.lab.host(2).address, { address: '0.0.0.0', port: UDP_PORT }];
    await cluster.lab
      .host(1)
      .namespace.run(forge({ to, from, port: UDP_PORT, payload, isUnprivileged: true }));
    await waitFor('the packet of a node arrives', 5_000, async () => (await counted()) > before);
  });
});

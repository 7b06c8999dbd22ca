// Somebody writes leases in bad faith: with any key, and with any value. An older owner that lives keeps its traffic.
import { describe, expect, it } from 'vitest';
import { type Cluster, openCluster } from '../lab/cluster.ts';
import { ping } from '../lab/ping.ts';
import { SUBNETS_KEY } from '../lab/stored-leases.ts';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

/** An address of the underlay that no host has. */
const ATTACKER = '192.168.77.99';
/** No agent leases a subnet after this one. */
const SUBNET_MAX = '10.5.199.0';

interface Victim {
  /** `10.5.34`: the start of its subnet. */
  readonly start: string;
  readonly vtepMac: string;
  /** The value of its lease. */
  readonly value: string;
}

/** A host, as a reader of the datastore sees it. */
async function victimOf(cluster: Cluster, number = 2): Promise<Victim> {
  const start = (await cluster.lab.host(number).subnetEnv())?.subnet.replace(/\.1\/24$/, '') ?? '';
  const value = await cluster.etcd.etcdctl('get', `${SUBNETS_KEY}${start}.0-24`, '--print-value-only');
  const [, vtepMac = ''] = /"VtepMAC":"([^"]*)"/.exec(value) ?? [];
  return { start, vtepMac, value };
}

/** The part of a host's kernel that leads to its peers, as lines. */
async function wayToPeers(cluster: Cluster, number: number): Promise<string[]> {
  const { namespace } = cluster.lab.host(number);
  const lists = ['ip -4 route show table all proto 84', 'ip -4 neigh show nud permanent', 'bridge fdb show'];
  const texts = await Promise.all(lists.map((list) => namespace.run(list.split(' '))));
  return texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.includes('flannel'))
    .map((line) => line.trim())
    .sort();
}

/** What an attacker writes, as `key value`, and the lines of the log that tell of it. */
interface Attack {
  readonly name: string;
  readonly writes: (victim: Victim) => readonly (readonly [key: string, value: object])[];
  readonly reason: RegExp;
}

const lease = (publicIP: string, mac: string) => ({
  PublicIP: publicIP,
  BackendType: 'vxlan',
  BackendData: { VNI: 1, VtepMAC: mac },
});

const ATTACKS: readonly Attack[] = [
  {
    name: "a lease with another node's MAC",
    writes: ({ vtepMac }) => [['10.5.200.0-24', lease(ATTACKER, vtepMac)]],
    reason: / 10\.5\.200\.0\/24 is not reached: the lease \S+ has fdb /,
  },
  {
    name: "a lease on a part of another node's subnet",
    writes: ({ start }) => [[`${start}.2-32`, lease(ATTACKER, '02:00:00:00:00:99')]],
    reason: /\.2\/32 is not reached: \S+ is not a \/24/,
  },
  {
    name: "a second key for another node's subnet",
    writes: ({ start }) => [[`${start}.0-24&fd00:5:22::-64`, lease(ATTACKER, '02:00:00:00:00:99')]],
    reason: /fd00:5:22::\/64 is not reached: the lease \S+ has subnet /,
  },
  {
    name: 'a lease on the whole network',
    writes: () => [['10.5.0.0-16', lease(ATTACKER, '02:00:00:00:00:99')]],
    reason: / 10\.5\.0\.0\/16 is not reached: \S+ is not a \/24/,
  },
];

describe.skipIf(NEEDS_CLUSTER.missing)(title('leases in bad faith', NEEDS_CLUSTER), () => {
  it('a living owner keeps its traffic and its subnet, whatever leases others write', async () => {
    await using cluster = await openCluster({
      hosts: 3,
      backend: { Type: 'vxlan' },
      network: { SubnetMax: SUBNET_MAX },
    });
    const { etcd } = cluster;
    const victim = await victimOf(cluster);
    const before = await Promise.all([1, 2].map((number) => wayToPeers(cluster, number)));
    for (const { name, writes, reason } of ATTACKS) {
      const written = writes(victim);
      for (const [key, value] of written) await etcd.etcdctl('put', SUBNETS_KEY + key, JSON.stringify(value));
      await waitFor(`host 1 tells of ${name}`, 5_000, async () => reason.test(await cluster.agent(1).log()));
      const now = await Promise.all([1, 2].map((number) => wayToPeers(cluster, number)));
      expect(now, name).toEqual(before);
      const { received } = await ping(cluster.container(1).namespace, cluster.container(2).address);
      expect(received, name).toBeGreaterThan(0);
      expect(cluster.agent(2).process.isRunning, name).toBe(true);
    }
    // A misfit that looks like a lease of the third host, under a session with a key of somebody else.
    const [, session = ''] = /lease (\w+) granted/.exec(await etcd.etcdctl('lease', 'grant', '600')) ?? [];
    await etcd.etcdctl('put', `--lease=${session}`, '/elsewhere', 'x');
    const third = await victimOf(cluster, 3);
    await etcd.etcdctl('put', `--lease=${session}`, `${SUBNETS_KEY}10.5.201.0-30`, third.value);
    // They all stand, and a node that knows none of the owners starts among them, also with a new subnet.
    const { subnet = '' } = (await cluster.lab.host(3).subnetEnv()) ?? {};
    await cluster.agent(3).stop('SIGKILL');
    await etcd.etcdctl('del', `${SUBNETS_KEY}${subnet.replace('.1/', '.0-')}`);
    await cluster.startAgent(3);
    expect((await cluster.lab.host(3).subnetEnv())?.subnet).toBe(subnet);
    expect(await etcd.etcdctl('get', '/elsewhere', '--print-value-only')).toBe('x\n');
    expect((await victimOf(cluster)).start).toBe(victim.start);
    const { received } = await ping(cluster.container(3).namespace, cluster.container(2).address);
    expect(received).toBeGreaterThan(0);
  });
});

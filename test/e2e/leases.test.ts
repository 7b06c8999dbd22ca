// The subnets of the nodes, seen from outside: in etcd, in subnet.env, and in the routes of the others.
import { describe, expect, it } from 'vitest';
import { waitFor } from '../lab/wait.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

const PREFIX = '/coreos.com/network/subnets/';
const RESERVED = `${PREFIX}10.5.77.0-24`;
const MALFORMED: readonly (readonly [key: string, value: string])[] = [
  ['garbage', 'x'],
  ['10.5.300.0-24', '{"PublicIP":"192.168.77.9"}'],
  ['10.5.201.0-24', '{not json'],
  ['10.5.202.0-24', '{"PublicIP":"999.1.1.1","BackendType":"vxlan"}'],
  ['10.5.203.0-24', 'null'],
  ['10.5.204.0-24', '[]'],
  [
    '10.5.205.0-24',
    '{"PublicIP":"192.168.77.9","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"nonsense"}}',
  ],
  ['10.5.206.0-24', '{"PublicIP":"192.168.77.9","BackendType":"vxlan","BackendData":"text"}'],
];

describe.skipIf(NEEDS_CLUSTER.missing)(title('leases', NEEDS_CLUSTER), () => {
  const cluster = useCluster({
    hosts: 3,
    containers: false,
    backend: { Type: 'vxlan' },
    // The subnets after it are for the malformed entries, so that no node has one of them.
    network: { SubnetMax: '10.5.199.0' },
    prepare: async ({ etcd }) => {
      await etcd.etcdctl(
        'put',
        RESERVED,
        '{"PublicIP":"192.168.77.1","PublicIPv6":null,"BackendType":"vxlan"}',
      );
    },
  });
  const subnetOf = async (number: number) => (await cluster().lab.host(number).subnetEnv())?.subnet;
  const keyOf = async (number: number) => `${PREFIX}${(await subnetOf(number))?.replace('.1/', '.0-')}`;
  /** The etcd lease of a key, in hexadecimal; undefined: it has none and never expires. */
  const etcdLeaseOf = async (key: string): Promise<string | undefined> => {
    const answer = await cluster().etcd.etcdctl('get', key, '--write-out=json');
    if (!answer.includes('"kvs"')) throw new Error(`no key ${key}`);
    // Taken from the text, as it may be more than a number of JavaScript holds.
    const [, lease] = /"lease":(\d+)/.exec(answer) ?? [];
    return lease === undefined ? undefined : BigInt(lease).toString(16);
  };

  /** Waits until every node has read all earlier writes: it writes one more lease, and deletes it again. */
  const allHaveRead = async (): Promise<void> => {
    const { etcdctl } = cluster().etcd;
    const last =
      '{"PublicIP":"192.168.77.9","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:09"}}';
    await etcdctl('put', `${PREFIX}10.5.210.0-24`, last);
    for (const number of [1, 2, 3]) await cluster().waitForRoutes(number, 3);
    await etcdctl('del', `${PREFIX}10.5.210.0-24`);
    for (const number of [1, 2, 3]) await cluster().waitForRoutes(number, 2);
  };

  it('a reservation stays with its node and never expires, restarts included', async () => {
    for (let start = 1; start <= 3; start++) {
      expect(await subnetOf(1)).toBe('10.5.77.1/24');
      expect(await etcdLeaseOf(RESERVED)).toBeUndefined();
      expect(await cluster().etcd.etcdctl('get', RESERVED)).toContain('"VtepMAC"');
      await cluster()
        .agent(1)
        .stop(start === 1 ? 'SIGTERM' : 'SIGKILL');
      await cluster().startAgent(1);
    }
  });

  it('a lease that is no reservation expires', async () => {
    expect(await etcdLeaseOf(await keyOf(2))).toMatch(/^[0-9a-f]+$/);
  });

  it('a node gets its previous subnet when the lease is gone', async () => {
    const before = await subnetOf(2);
    const key = await keyOf(2);
    await cluster().agent(2).stop();
    expect(await cluster().etcd.etcdctl('del', key)).toBe('1\n');
    await cluster().waitForRoutes(1, 1);
    await cluster().startAgent(2);
    expect(await subnetOf(2)).toBe(before);
    expect(await keyOf(2)).toBe(key);
    for (const number of [1, 2, 3]) await cluster().waitForRoutes(number, 2);
  });

  it('a lease that is deleted while the agent runs is claimed again', async () => {
    const key = await keyOf(3);
    const before = await subnetOf(3);
    await cluster().etcd.etcdctl('del', key);
    await waitFor('the lease is back', 10_000, async () => {
      return (await cluster().etcd.etcdctl('get', key)).includes('"PublicIP":"192.168.77.3"');
    });
    expect(await subnetOf(3)).toBe(before);
    await allHaveRead();
  });

  it('malformed entries drop no route, and each is logged once', async () => {
    const routes = async () => Promise.all([1, 2, 3].map((number) => cluster().routes(number)));
    const before = await routes();
    const { etcdctl } = cluster().etcd;
    for (const [key, value] of MALFORMED) await etcdctl('put', `${PREFIX}${key}`, value);
    const told = (number: number, key: string) =>
      waitFor(`host ${number} tells of ${key}`, 5_000, async () =>
        (await cluster().agent(number).log()).includes(key),
      );
    for (const number of [1, 2, 3]) for (const [key] of MALFORMED.slice(0, 6)) await told(number, key);
    expect(await routes()).toEqual(before);
    for (const [key, value] of MALFORMED) await etcdctl('put', `${PREFIX}${key}`, value);
    await allHaveRead();
    expect(await routes()).toEqual(before);
    for (const number of [1, 2, 3]) {
      const lines = (await cluster().agent(number).log()).split('\n');
      for (const [key] of MALFORMED.slice(0, 6)) {
        expect(
          lines.filter((line) => line.includes(key)),
          key,
        ).toHaveLength(1);
      }
    }
  });

  it('an agent starts among malformed entries, with a route to each good one', async () => {
    await cluster().agent(1).stop();
    await cluster().startAgent(1);
    await cluster().waitForRoutes(1, 2);
  });

  it("a peer's lease that becomes malformed drops no route", async () => {
    const before = await cluster().routes(1);
    const key = await keyOf(3);
    const good = (await cluster().etcd.etcdctl('get', key, '--print-value-only')).trim();
    const lease = await etcdLeaseOf(key);
    await cluster().agent(3).stop('SIGKILL');
    await cluster().etcd.etcdctl('put', `--lease=${lease}`, key, '{broken');
    await cluster()
      .agent(1)
      .waitForLine(new RegExp(key.replace(PREFIX, '').replaceAll('.', '\\.')));
    expect(await cluster().routes(1)).toEqual(before);
    await cluster().etcd.etcdctl('put', `--lease=${lease}`, key, good);
    await cluster().startAgent(3);
    await cluster().waitForRoutes(1, 2);
    expect(await cluster().routes(1)).toEqual(before);
  });
});

// Changes of leases in the datastore while all agents run.

import { CONFIG_KEY, rewriteLease, SUBNETS_KEY, strangerLease } from '../../lab/stored-leases.ts';
import { waitFor } from '../../lab/wait.ts';
import type { FaultBed } from '../bed.ts';
import type { Fault, Injected } from '../fault.ts';
import { readMetric } from '../metric.ts';

const SECOND = 1_000;

const MALFORMED: readonly (readonly [key: string, value: string])[] = [
  ['garbage', 'x'],
  ['10.5.300.0-24', '{"PublicIP":"192.168.77.9"}'],
  ['10.5.201.0-24', '{not json'],
  ['10.5.202.0-24', '{"PublicIP":"999.1.1.1","BackendType":"vxlan"}'],
  ['10.5.203.0-24', 'null'],
];
/** Keys that a later version might write. */
const FUTURE: readonly (readonly [key: string, value: string])[] = [
  ['v2:10.5.204.0-24', '{"Version":2}'],
  ['10.5.205.0-24&fd00:5:22::-64&wide', '{"PublicIP":"192.168.77.9","BackendType":"vxlan"}'],
];

/** Each agent counts entries that are no leases. A comparison with the leases shows that no kernel changes. */
function writeEntries(entries: typeof MALFORMED): Fault['inject'] {
  return async (bed) => {
    const before = await Promise.all(
      [1, 2].map((number) => readMetric(bed.host(number), 'malformed_entries')),
    );
    for (const [key, value] of entries) await bed.etcd.etcdctl('put', `${SUBNETS_KEY}${key}`, value);
    const wrong = async (): Promise<string | undefined> => {
      for (const [index, count] of before.entries()) {
        const now = await readMetric(bed.host(index + 1), 'malformed_entries');
        if (now !== count + entries.length)
          return `h${index + 1} counts ${now - count} of ${entries.length} malformed entries`;
      }
      return undefined;
    };
    const undo = async (): Promise<void> => {
      for (const [key] of entries) await bed.etcd.etcdctl('del', `${SUBNETS_KEY}${key}`);
    };
    return { wrong, undo };
  };
}

/** Writes a peer's lease again with some fields changed. */
function changePeer(changes: Readonly<Record<string, unknown>>): Fault['inject'] {
  return async (bed): Promise<Injected> => {
    const { key, value } = strangerLease(1, bed.backend);
    await bed.etcd.etcdctl('put', key, value);
    await bed.settle();
    const lease = (await bed.leases()).find((each) => each.key === key);
    if (lease === undefined) throw new Error(`no lease at ${key}`);
    await rewriteLease(bed.etcd, lease, changes);
    const undo = async (): Promise<void> => {
      await bed.etcd.etcdctl('del', key);
    };
    return { undo };
  };
}

/** `how` removes the lease of the first host. The lease is back when it has a session again. */
function loseLease(how: (bed: FaultBed, key: string, session: string) => Promise<unknown>): Fault['inject'] {
  return async (bed) => {
    const { key, session = '' } = await bed.leaseOf(1);
    await how(bed, key, session);
  };
}

/** Another node takes our subnet: we move, and log it. */
async function loseSubnet(bed: FaultBed): Promise<Injected> {
  const { key, subnet } = await bed.leaseOf(1);
  await bed.etcd.etcdctl('put', key, strangerLease(1, bed.backend).value);
  const wrong = async (): Promise<string | undefined> => {
    if ((await bed.subnetOf(1)) === subnet) return `h1 still has ${subnet}`;
    const told = (await bed.agent(1).log())
      .split('\n')
      .some((line) => /\b(?:warn|error)\b/i.test(line) && line.includes(subnet));
    return told ? undefined : `the log does not tell of the loss of ${subnet}`;
  };
  return { wrong };
}

/** A lease comes, every kernel has it, and it goes. */
async function addAndRemovePeer(bed: FaultBed): Promise<void> {
  const { key, value } = strangerLease(1, bed.backend);
  await bed.etcd.etcdctl('put', key, value);
  await bed.settle();
  await bed.etcd.etcdctl('del', key);
}

/** The configuration is gone for a while: the last one read stays in force. */
async function loseConfig(bed: FaultBed): Promise<Injected> {
  const text = (await bed.etcd.etcdctl('get', '--print-value-only', CONFIG_KEY)).trim();
  await bed.etcd.etcdctl('del', CONFIG_KEY);
  const undo = async (): Promise<void> => {
    await bed.etcd.etcdctl('put', CONFIG_KEY, text);
    await waitFor('the configuration is back', 5_000, async () =>
      (await bed.etcd.etcdctl('get', CONFIG_KEY)).includes('Network'),
    );
  };
  return { undo };
}

export const LEASE_FAULTS: readonly Fault[] = [
  {
    name: "an agent's own lease is deleted",
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: 2 * SECOND,
    inject: loseLease((bed, key) => bed.etcd.etcdctl('del', key)),
  },
  {
    name: "an agent's own lease expires",
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: 2 * SECOND,
    inject: loseLease((bed, _key, session) => bed.etcd.etcdctl('lease', 'revoke', session)),
  },
  {
    name: "an agent's own subnet is taken by somebody else",
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: 2 * SECOND,
    traffic: 'ends',
    mayMove: true,
    inject: loseSubnet,
  },
  {
    name: "a peer's lease is written with another MAC",
    backends: ['vxlan'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: changePeer({ BackendData: { VNI: 1, VtepMAC: '02:00:00:00:02:02' } }),
  },
  {
    name: "a peer's lease is written with another public address",
    backends: ['vxlan', 'host-gw'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: changePeer({ PublicIP: '192.168.77.199' }),
  },
  {
    name: "a peer's lease is written with another backend",
    backends: ['vxlan', 'host-gw'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: changePeer({ BackendType: 'wireguard' }),
  },
  {
    name: 'a peer leaves',
    backends: ['vxlan', 'host-gw'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: addAndRemovePeer,
  },
  {
    name: 'garbage is written among the leases',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: writeEntries(MALFORMED),
  },
  {
    name: 'keys of a later format are written among the leases',
    backends: ['vxlan'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: writeEntries(FUTURE),
  },
  {
    name: 'the network configuration is deleted',
    backends: ['vxlan'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: loseConfig,
  },
];

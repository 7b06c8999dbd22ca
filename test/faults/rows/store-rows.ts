// Faults of etcd and of the network path to it. None of them depends on the backend.
import { systemClock } from '../../../agent/base/clock.ts';
import type { EtcdServer } from '../../lab/etcd.ts';
import { ROUTER_ADDRESS } from '../../lab/lab.ts';
import { CONFIG_KEY, type StrangerLease, SUBNETS_KEY, strangerLease } from '../../lab/stored-leases.ts';
import { waitFor } from '../../lab/wait.ts';
import { type FaultBed, IS_FULL } from '../bed.ts';
import type { Fault, Injected } from '../fault.ts';
import { readOwnedState } from '../owned-state.ts';

const SECOND = 1_000;
/** Time within which an agent must report a fault. */
const UNREADY_MS = 10 * SECOND;
/** Duration of a fault where a test need not take as long as the table says. */
const SHORT_MS = SECOND;
const ETCD_PORT = '2379';

/** Runs etcdctl until it succeeds: a cluster that lost a member, or has it back, may be electing its leader. */
async function insist(by: Pick<EtcdServer, 'etcdctl'>, ...args: readonly string[]): Promise<void> {
  await waitFor(`etcdctl ${args[0]} succeeds`, 20 * SECOND, () =>
    by.etcdctl(...args).then(
      () => true,
      () => false,
    ),
  );
}

/** A peer comes: every node must see it. It goes when the row is over. */
async function addPeer(bed: FaultBed, by: Pick<EtcdServer, 'etcdctl'> = bed.etcd): Promise<Injected> {
  const { key, value } = strangerLease(1, bed.backend);
  await insist(by, 'put', key, value);
  return { undo: () => insist(by, 'del', key) };
}

function member(bed: FaultBed, index: number): EtcdServer {
  const found = bed.etcd.members[index];
  if (found === undefined) throw new Error(`etcd has no member ${index}`);
  return found;
}

/** The member that the agent of the first host is connected to. */
async function memberInUse(bed: FaultBed): Promise<number> {
  const connections = await bed.h1.run(['ss', '-Htn', 'dport', '=', `:${ETCD_PORT}`]);
  const index = bed.etcd.members.findIndex(({ url }) => connections.includes(new URL(url).host));
  if (index < 0) throw new Error(`h1 is connected to no member: ${connections}`);
  return index;
}

async function leader(bed: FaultBed): Promise<number> {
  const text = await bed.etcd.etcdctl('endpoint', 'status', '--write-out=json');
  // Ids of members exceed the safe integers of JavaScript.
  const ids = [...text.matchAll(/"member_id":(\d+)/g)].map(([, id]) => id);
  const index = ids.indexOf(/"leader":(\d+)/.exec(text)?.[1]);
  const { Endpoint: url } = (JSON.parse(text) as readonly { Endpoint: string }[])[index] ?? { Endpoint: '' };
  return bed.etcd.members.findIndex((each) => each.url === url);
}

/** Keeps etcd away until the agent has noticed, and in a full run for as long as the table says. */
async function last(bed: FaultBed, tableMs: number): Promise<void> {
  const fromMs = systemClock.monotonicMs();
  await bed.waitUnready(1, UNREADY_MS);
  const wantedMs = IS_FULL ? tableMs : SHORT_MS;
  await systemClock.sleep(Math.max(0, wantedMs - (systemClock.monotonicMs() - fromMs)));
}

async function stopEtcd(bed: FaultBed): Promise<Injected> {
  await member(bed, 0).stop();
  await last(bed, 30 * SECOND);
  await member(bed, 0).start();
  return addPeer(bed);
}

async function pauseEtcd(bed: FaultBed): Promise<Injected> {
  member(bed, 0).pause();
  try {
    await last(bed, 20 * SECOND);
  } finally {
    member(bed, 0).resume();
  }
  return addPeer(bed);
}

/** Kills one member of three. A change written to another one must reach every node. */
function killMember(choose: (bed: FaultBed) => Promise<number>): Fault['inject'] {
  return async (bed) => {
    const index = await choose(bed);
    await member(bed, index).stop();
    const { undo } = await addPeer(bed, member(bed, (index + 1) % bed.etcd.members.length));
    return {
      undo: async () => {
        await undo?.();
        await member(bed, index).start();
      },
    };
  };
}

/** Freezes the member that the first host's agent uses: connections stay open without an answer. */
async function pauseMember(bed: FaultBed): Promise<Injected> {
  const index = await memberInUse(bed);
  member(bed, index).pause();
  const resume = async (): Promise<void> => member(bed, index).resume();
  try {
    const { undo } = await addPeer(bed, member(bed, (index + 1) % bed.etcd.members.length));
    return {
      undo: async () => {
        await resume();
        await undo?.();
      },
    };
  } catch (error) {
    await resume();
    throw error;
  }
}

/** Runs `work` while no agent reaches etcd, and none has a connection to it. */
async function cutOff(bed: FaultBed, work: () => Promise<void>): Promise<void> {
  const { router } = bed.cluster.lab;
  const rule = `-p tcp --dport ${ETCD_PORT} ! -s ${ROUTER_ADDRESS} -j REJECT --reject-with tcp-reset`.split(
    ' ',
  );
  await member(bed, 0).stop();
  await router.run(['iptables', '-I', 'INPUT', ...rule]);
  try {
    await member(bed, 0).start();
    await work();
  } finally {
    await router.run(['iptables', '-D', 'INPUT', ...rule]);
  }
}

/**
 * While no agent watches, `leave` of ten peers leave, one changes, one comes, and etcd compacts that history.
 */
async function leaveUnseen(
  bed: FaultBed,
  leave: number,
): Promise<Injected & { gone: readonly StrangerLease[] }> {
  const { etcdctl } = bed.etcd;
  const before = Array.from({ length: 10 }, (_, index) => strangerLease(index + 1, bed.backend));
  const after = strangerLease(11, bed.backend);
  const gone = before.slice(0, leave);
  for (const { key, value } of before) await etcdctl('put', key, value);
  await bed.settle();
  await cutOff(bed, async () => {
    for (const { key } of gone) await etcdctl('del', key);
    await etcdctl('put', before.at(-1)?.key ?? '', strangerLease(12, bed.backend).value);
    await etcdctl('put', after.key, after.value);
    await member(bed, 0).compact();
  });
  const undo = async (): Promise<void> => {
    for (const { key } of [...before, after]) await etcdctl('del', key);
  };
  return { undo, gone };
}

/** Most peers are missing in one new listing of the store: their state must stay. Then they are back. */
async function vanishAndReturn(bed: FaultBed): Promise<Injected> {
  const { undo, gone } = await leaveUnseen(bed, 9);
  const told = await bed.agent(1).waitForLine(/leases are gone from the datastore/);
  if (!/\b9 of \d+ leases/.test(told)) throw new Error(`the agent of h1 tells of others: ${told}`);
  await systemClock.sleep(SECOND);
  const { lines } = await readOwnedState(bed.host(1));
  const dropped = gone.find(({ subnet }) => !lines.some((line) => line.includes(`route unicast ${subnet} `)));
  if (dropped !== undefined) throw new Error(`h1 believed at once that ${dropped.subnet} is gone`);
  for (const { key, value } of gone) await bed.etcd.etcdctl('put', key, value);
  return undo === undefined ? {} : { undo };
}

/** etcd loses everything: the kernel state stays until the configuration is back. */
async function loseData(bed: FaultBed): Promise<void> {
  const text = (await bed.etcd.etcdctl('get', '--print-value-only', CONFIG_KEY)).trim();
  const whole = (await readOwnedState(bed.host(1))).lines.join('\n');
  await member(bed, 0).wipe();
  await member(bed, 0).start();
  await last(bed, 10 * SECOND);
  await systemClock.sleep(SHORT_MS);
  const now = (await readOwnedState(bed.host(1))).lines.join('\n');
  if (now !== whole) throw new Error(`without data in etcd, h1 does not keep what it had: ${now}`);
  const keys = await bed.etcd.etcdctl('get', '--prefix', '--keys-only', SUBNETS_KEY);
  if (keys.trim() !== '') throw new Error(`a lease was taken without a configuration: ${keys}`);
  await bed.etcd.etcdctl('put', CONFIG_KEY, text);
}

/** The first host's existing connections to etcd drop every packet from now on; new ones work. */
async function blackHole(bed: FaultBed): Promise<Injected> {
  const { router } = bed.cluster.lab;
  const connections = await bed.h1.run(['ss', '-Htn', 'dport', '=', `:${ETCD_PORT}`]);
  const ports = [...connections.matchAll(/:(\d+)\s+[\d.]+:2379\b/g)].map(([, port]) => port ?? '');
  if (ports.length === 0) throw new Error(`h1 has no connection to etcd: ${connections}`);
  const rules = ports.flatMap((port) => [
    ['INPUT', '-p', 'tcp', '--sport', port, '--dport', ETCD_PORT, '-j', 'DROP'],
    ['OUTPUT', '-p', 'tcp', '--dport', port, '--sport', ETCD_PORT, '-j', 'DROP'],
  ]);
  for (const rule of rules) await router.run(['iptables', '-I', ...rule]);
  const { undo } = await addPeer(bed);
  return {
    undo: async () => {
      for (const rule of rules) await router.run(['iptables', '-D', ...rule]);
      await undo?.();
    },
  };
}

export const STORE_FAULTS: readonly Fault[] = [
  {
    name: 'etcd is stopped for half a minute',
    backends: ['vxlan', 'udp'],
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    lasts: true,
    isSlow: true,
    inject: stopEtcd,
  },
  {
    name: 'etcd freezes for twenty seconds',
    backends: ['vxlan'],
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    lasts: true,
    isSlow: true,
    inject: pauseEtcd,
  },
  {
    name: 'the etcd member in use is killed',
    backends: ['vxlan'],
    bed: 'three etcds',
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    inject: killMember(memberInUse),
  },
  {
    name: "etcd's leader is killed",
    backends: ['vxlan'],
    bed: 'three etcds',
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    inject: killMember(leader),
  },
  {
    name: 'the etcd member in use freezes',
    backends: ['vxlan'],
    bed: 'three etcds',
    requiredMs: 15 * SECOND,
    traffic: 'flows',
    isSlow: true,
    inject: pauseMember,
  },
  {
    name: 'the history that a watch would need is compacted away',
    backends: ['vxlan'],
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    isSlow: true,
    inject: (bed) => leaveUnseen(bed, 2),
  },
  {
    name: 'most peers are missing in one reading, and come back',
    backends: ['vxlan', 'host-gw'],
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    lasts: true,
    isSlow: true,
    inject: vanishAndReturn,
  },
  {
    name: 'most peers leave for good while nobody watches',
    backends: ['vxlan'],
    // A second listing, after a minute at most, must agree.
    requiredMs: 65 * SECOND,
    traffic: 'flows',
    lasts: true,
    isSlow: true,
    inject: (bed) => leaveUnseen(bed, 9),
  },
  {
    name: "etcd's data are lost",
    backends: ['vxlan', 'udp'],
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    lasts: true,
    isSlow: true,
    inject: loseData,
  },
  {
    name: 'the connections to etcd swallow everything',
    backends: ['vxlan'],
    requiredMs: 15 * SECOND,
    traffic: 'flows',
    lasts: true,
    isSlow: true,
    inject: blackHole,
  },
];

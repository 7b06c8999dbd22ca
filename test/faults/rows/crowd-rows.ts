// Many nodes at once. Most of them are leases only.
import { systemClock } from '../../../agent/base/clock.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import type { EtcdWrite } from '../../lab/etcd-writes.ts';
import { writeLeases } from '../../lab/many-leases.ts';
import { labProgram } from '../../lab/paths.ts';
import { holdToProcessors } from '../../lab/processors.ts';
import { strangerLease } from '../../lab/stored-leases.ts';
import type { FaultBed } from '../bed.ts';
import { type Fault, type Injected, type Note, reasonOf } from '../fault.ts';
import { peakKibibytes } from '../owned-state.ts';

const SECOND = 1_000;

const STORM = { events: 1_000, parts: 4, nodes: 90 } as const;

/** A test allows an answer far more time than is required: other processes of a busy machine run in between. */
const CROWD = {
  leases: 5_000,
  changed: 500,
  pauseMs: 2_000,
  peakKibibytes: 240 * 1_024,
  requiredMs: 100,
  answerMs: 1_000,
} as const;
const WRITE_MS = 60 * SECOND;

async function write(bed: FaultBed, writes: readonly EtcdWrite[]): Promise<void> {
  const input = writes.map((each) => `${JSON.stringify(each)}\n`).join('');
  const argv = [...labProgram('etcd-writes'), bed.etcd.url];
  await bed.cluster.lab.router.run(argv, { input, timeoutMs: WRITE_MS });
}

/** Nodes without a host join, leave and reboot, with another MAC, at random. */
function randomWrites(random: () => number, backend: string, count: number): EtcdWrite[] {
  return Array.from({ length: count }, (): EtcdWrite => {
    const number = 1 + Math.floor(random() * STORM.nodes);
    const { key, value } = strangerLease(number, backend);
    if (random() < 0.4) return { key };
    const mac = `02:00:00:${String(10 + Math.floor(random() * 90))}:01:${number.toString(16).padStart(2, '0')}`;
    return { key, value: value.replace(/"VtepMAC":"[^"]+"/, `"VtepMAC":"${mac}"`) };
  });
}

/** Meanwhile the agents of both hosts are stopped or killed, in turns, and started again. */
async function storm(bed: FaultBed): Promise<Injected> {
  const seed = Number(process.env['TWILL_SEED'] ?? Math.floor(Math.random() * 1_000_000));
  const random = seededRandom(seed);
  try {
    for (let part = 0; part < STORM.parts; part += 1) {
      const writes = randomWrites(random, bed.backend, STORM.events / STORM.parts);
      const number = 1 + (part % 2);
      const restart = async (): Promise<void> => {
        await bed.agent(number).stop(part < 2 ? 'SIGKILL' : 'SIGTERM');
        await bed.cluster.startAgent(number);
      };
      await Promise.all([write(bed, writes), restart()]);
    }
  } catch (error) {
    throw new Error(`${reasonOf(error)} (repeat with TWILL_SEED=${seed})`, { cause: error });
  }
  const undo = async (): Promise<void> => {
    const all = Array.from({ length: STORM.nodes }, (_, index) => strangerLease(index + 1, bed.backend));
    await write(
      bed,
      all.map(({ key }) => ({ key })),
    );
  };
  return { undo };
}

/**
 * Thousands of leases come, some change, and all go at once. The first host is pinned to a processor of its own, as on
 * a separate machine: two agents with the same work at the same time would compete for it.
 */
async function crowd(bed: FaultBed): Promise<Injected> {
  const others = [bed.agent(2), ...bed.etcd.members, process];
  await using _ = await holdToProcessors([[bed.agent(1).pid], others.map(({ pid }) => pid)]);
  const fromMs = systemClock.wallMs();
  const { lab } = bed.cluster;
  const settle = async (): Promise<void> => {
    // A check of so many objects takes processor time from the agent.
    await systemClock.sleep(CROWD.pauseMs);
    await bed.settle();
  };
  const session = await writeLeases(lab, bed.etcd, CROWD.leases);
  await settle();
  await writeLeases(lab, bed.etcd, CROWD.changed, session);
  await settle();
  await bed.etcd.etcdctl('lease', 'revoke', session);
  await systemClock.sleep(CROWD.pauseMs);
  const answers = async (): Promise<number> => {
    const lines = (await bed.health[0]?.since(fromMs)) ?? [];
    return Math.max(...lines.filter(({ path }) => path === '/healthz').map(({ tookMs }) => tookMs), 0);
  };
  const wrong = async (): Promise<string | undefined> => {
    const slowest = await answers();
    if (slowest > CROWD.answerMs) return `/healthz took ${slowest} ms`;
    const peak = await peakKibibytes(bed.agent(1).pid);
    return peak > CROWD.peakKibibytes ? `the agent of h1 took ${Math.round(peak / 1_024)} MiB` : undefined;
  };
  const note = async (): Promise<Note> => {
    const peak = await peakKibibytes(bed.agent(1).pid);
    const slowest = await answers();
    const took = slowest === 0 ? `less than ${CROWD.requiredMs}` : slowest;
    const text = `the slowest answer of /healthz took ${took} ms (required ${CROWD.requiredMs} ms), the agent at most ${Math.round(peak / 1_024)} MiB`;
    return { text, isMet: slowest <= CROWD.requiredMs };
  };
  return { wrong, note };
}

export const CROWD_FAULTS: readonly Fault[] = [
  {
    name: 'a thousand nodes join, leave and are rebooted, and agents are killed meanwhile',
    backends: ['vxlan', 'host-gw'],
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    hitsAgent: true,
    inject: storm,
  },
  {
    name: 'five thousand leases come at once, some change, and all go',
    backends: ['vxlan'],
    bed: 'large network',
    requiredMs: 5 * SECOND,
    traffic: 'flows',
    inject: crowd,
  },
];

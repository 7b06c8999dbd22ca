// One whole run of a simulated cluster, from a seed: some time in which anything goes wrong, then a fair world in which
// it has to become right again, and stay so without any work.
import { setMaxListeners } from 'node:events';
import { seededRandom } from '../fakes/seeded-random.ts';
import { Cluster, type Sabotage } from './cluster.ts';
import { complaint } from './converged.ts';
import type { Fault } from './faults/fault.ts';
import { KERNEL_FAULTS } from './faults/kernel-faults.ts';
import { NODE_FAULTS } from './faults/node-faults.ts';
import { removeGarbage, STORE_FAULTS } from './faults/store-faults.ts';
import type { Violation } from './laws.ts';
import { FAIR } from './weather.ts';

export interface Outcome {
  readonly seed: number;
  /** Undefined: all went well. */
  readonly violation: Violation | undefined;
  /** The end of the trace, oldest first. */
  readonly trace: readonly string[];
  /** Of the whole trace: two runs of a seed have the same. */
  readonly digest: string;
  readonly virtualMs: number;
  /** From the last fault until everything was right. */
  readonly convergedMs: number;
  /** How often each fault struck. */
  readonly faults: ReadonlyMap<string, number>;
}

export const FAULTS: readonly Fault[] = [...STORE_FAULTS, ...KERNEL_FAULTS, ...NODE_FAULTS];

/** The time in which things go wrong; in a few seeds it is longer than a lease lives. */
const TROUBLE_MS = { least: 5_000, most: 60_000, long: 30 * 3_600_000 };
const LONG_SEEDS = 0.005;
/** When the world is fair, all must be well after this long: a second listing comes after a minute at most. */
export const CONVERGENCE_MS = 120_000;
/** And stay so, for more than one full pass of every kernel. */
const QUIET_MS = 65_000;

/** Runs one seed. `show` gets each line of the trace. */
export async function simulate(
  seed: number,
  { sabotage = {}, show }: { readonly sabotage?: Sabotage; readonly show?: (line: string) => void } = {},
): Promise<Outcome> {
  const cluster = new Cluster(seed, sabotage, show);
  const { clock, laws, trace } = cluster;
  const struck = new Map<string, number>();
  await cluster.open();
  await makeTrouble(cluster, seed, struck);
  const convergedMs = laws.violation === undefined ? await converge(cluster) : 0;
  if (laws.violation === undefined) await rest(cluster);
  await cluster.close();
  return {
    seed,
    violation: laws.violation,
    trace: trace.last(),
    digest: trace.digest(),
    virtualMs: clock.monotonicMs(),
    convergedMs,
    faults: struck,
  };
}

async function makeTrouble(cluster: Cluster, seed: number, struck: Map<string, number>): Promise<void> {
  const { clock, laws, random } = cluster;
  const healed = new AbortController();
  setMaxListeners(0, healed.signal);
  // Each seed has its own kinds of faults.
  const share = 0.1 + 0.9 * random();
  const kinds = FAULTS.filter(() => random() < share);
  // By another source, so that seeds are long or not whatever else they draw.
  const isLong = seededRandom(seed)() < LONG_SEEDS;
  const { least, most, long } = TROUBLE_MS;
  const endMs = isLong ? long : least + random() * (most - least);
  const betweenMs = isLong ? long / 20 : cluster.weather.now.betweenFaultsMs;
  while (clock.monotonicMs() < endMs && laws.violation === undefined) {
    await advance(cluster, Math.min(-Math.log(1 - random()) * betweenMs, endMs - clock.monotonicMs()));
    if (kinds.length === 0 || laws.violation !== undefined) continue;
    const fault = cluster.pick(kinds);
    struck.set(fault.name, (struck.get(fault.name) ?? 0) + 1);
    void fault.strike(cluster, healed.signal);
  }
  healed.abort();
  cluster.weather.now = FAIR;
  cluster.trace.note('world', 'is fair from now on');
  // What was begun before ends now, whatever it is: agents that were stopped start, and so does the store.
  await advance(cluster, 5_001);
  await removeGarbage(cluster);
  for (const host of cluster.present()) {
    host.kernel.refuse = undefined;
    host.start();
  }
}

/** Gives the time that it took. */
async function converge(cluster: Cluster): Promise<number> {
  const { clock, laws } = cluster;
  const backend = await cluster.backend();
  const startMs = clock.monotonicMs();
  for (;;) {
    await advance(cluster, 500);
    const tookMs = clock.monotonicMs() - startMs;
    if (laws.violation !== undefined) return tookMs;
    const found = complaint(cluster, backend);
    if (found === undefined) return tookMs;
    if (tookMs > CONVERGENCE_MS) laws.break('a fair world becomes right', found);
  }
}

/** Nothing is to be done any more, so nothing is done. */
async function rest(cluster: Cluster): Promise<void> {
  const { laws, memory, trace } = cluster;
  const revision = (): number => Math.max(0, ...memory.entries().map((entry) => entry.revision));
  const before = revision();
  trace.note('world', 'is right');
  await advance(cluster, QUIET_MS);
  if (laws.violation !== undefined) return;
  const found = complaint(cluster, await cluster.backend());
  if (found !== undefined) laws.break('what is right stays right', found);
  if (revision() > before) laws.break('who is content writes nothing', `revision ${revision()}`);
}

// In steps, so that it ends soon after a law was broken.
async function advance(cluster: Cluster, ms: number): Promise<void> {
  const { clock, laws } = cluster;
  const endMs = clock.monotonicMs() + ms;
  while (clock.monotonicMs() < endMs && laws.violation === undefined)
    await clock.advance(Math.min(1_000, endMs - clock.monotonicMs()));
}

// One whole run of a simulated cluster from a seed: a time with faults, then a fair world in which the cluster must
// converge, and then stay so without work.
import { setMaxListeners } from 'node:events';
import { seededRandom } from '../fakes/seeded-random.ts';
import { Cluster, type Sabotage, type Scene } from './cluster.ts';
import { complaint } from './converged.ts';
import type { Fault } from './faults/fault.ts';
import { KERNEL_FAULTS } from './faults/kernel-faults.ts';
import { MACHINE_FAULTS } from './faults/machine-faults.ts';
import { NODE_FAULTS } from './faults/node-faults.ts';
import { removeGarbage, STORE_FAULTS } from './faults/store-faults.ts';
import { besiege } from './hostile/trouble.ts';
import type { Violation } from './laws.ts';
import { FAIR } from './weather.ts';

export interface Outcome {
  readonly seed: number;
  /** Whether there was a hostile writer. */
  readonly isHostile: boolean;
  /** Undefined: all laws held. */
  readonly violation: Violation | undefined;
  /** The end of the trace, oldest first. */
  readonly trace: readonly string[];
  /** Digest of the whole trace. Two runs of one seed have the same. */
  readonly digest: string;
  readonly virtualMs: number;
  /** Time from the last fault until the cluster has converged. */
  readonly convergedMs: number;
  /** The count of each fault. */
  readonly faults: ReadonlyMap<string, number>;
}

const FAULTS: readonly Fault[] = [...STORE_FAULTS, ...KERNEL_FAULTS, ...NODE_FAULTS];

/** Machines change in this share of the seeds, after this mean time. Some changes come together. */
const MACHINES = { share: 0.6, betweenMs: 8_000, together: 0.2 };
/** The time with faults; in a few seeds it is longer than the life of a lease. */
const TROUBLE_MS = { least: 5_000, most: 60_000, long: 30 * 3_600_000 };
/** A hundred others take as long as one of these. */
const LONG_SEEDS = 0.002;
/** Time from one fault of a scene to the next. */
const SCENE_PAUSE_MS = 30_000;
/** Time for convergence in a fair world: a second listing comes after a minute at most. */
export const CONVERGENCE_MS = 120_000;
/** Time to stay so: more than one full pass of every kernel. */
const QUIET_MS = 65_000;
/** The same with a hostile writer, where other seeds have shown the full passes. */
const HOSTILE_QUIET_MS = 6_000;

export interface SimulationOptions {
  readonly sabotage?: Sabotage;
  /** Undefined: drawn by chance; `hostile`: with a hostile writer, too. */
  readonly scene?: Scene | 'hostile' | undefined;
  /** Called with each line of the trace. */
  readonly show?: (line: string) => void;
}

/** Runs one seed. */
export async function simulate(
  seed: number,
  { sabotage = {}, scene, show }: SimulationOptions = {},
): Promise<Outcome> {
  const cluster = new Cluster(seed, sabotage, scene, show);
  const { clock, laws, trace } = cluster;
  const struck = new Map<string, number>();
  await cluster.open();
  await makeTrouble(cluster, seed, struck);
  const convergedMs = laws.violation === undefined ? await converge(cluster) : 0;
  if (laws.violation === undefined) await rest(cluster);
  await cluster.close();
  return {
    seed,
    isHostile: cluster.scene.isHostile === true,
    violation: laws.violation,
    trace: trace.last(),
    digest: trace.digest(),
    virtualMs: clock.monotonicMs(),
    convergedMs,
    faults: struck,
  };
}

async function makeTrouble(cluster: Cluster, seed: number, struck: Map<string, number>): Promise<void> {
  const healed = new AbortController();
  setMaxListeners(0, healed.signal);
  const { faults, isHostile } = cluster.scene;
  if (isHostile === true) {
    const begin = (fault: Fault): void => strike(fault, cluster, struck, healed.signal);
    cluster.hasJunk = await besiege(cluster, seed, begin, (ms) => advance(cluster, ms));
  } else if (faults === undefined) await strikeByChance(cluster, seed, struck, healed.signal);
  else {
    for (const fault of [undefined, ...faults]) {
      if (fault !== undefined) strike(fault, cluster, struck, healed.signal);
      await advance(cluster, SCENE_PAUSE_MS);
    }
  }
  healed.abort();
  for (const host of cluster.hosts) host.ability.quicken();
  cluster.weather.now = FAIR;
  cluster.trace.note('world', 'is fair from now on');
  // Everything begun before ends now: stopped agents start, and so does the store.
  await advance(cluster, 5_001);
  if (isHostile !== true) await removeGarbage(cluster);
  const addresses = new Set<string>();
  for (const host of cluster.present()) {
    // The operator gives each host its own address.
    if (addresses.has(host.address)) host.machine.move(cluster.freeAddress(host));
    addresses.add(host.address);
    host.kernel.refuse = undefined;
    host.start();
  }
}

async function strikeByChance(
  cluster: Cluster,
  seed: number,
  struck: Map<string, number>,
  healed: AbortSignal,
): Promise<void> {
  const { clock, laws, random } = cluster;
  // Each seed has its own kinds of faults.
  const share = 0.1 + 0.9 * random();
  const kinds = FAULTS.filter(() => random() < share);
  // From a source of its own, so that the other draws do not change which seeds are long.
  const isLong = seededRandom(seed)() < LONG_SEEDS;
  const { least, most, long } = TROUBLE_MS;
  const endMs = isLong ? long : least + random() * (most - least);
  const betweenMs = isLong ? long / 20 : cluster.weather.now.betweenFaultsMs;
  void changeMachines(cluster, isLong ? long / 20 : MACHINES.betweenMs, struck, healed);
  while (clock.monotonicMs() < endMs && laws.violation === undefined) {
    await advance(cluster, Math.min(-Math.log(1 - random()) * betweenMs, endMs - clock.monotonicMs()));
    if (kinds.length > 0 && laws.violation === undefined)
      strike(cluster.pick(kinds), cluster, struck, healed);
  }
}

/** Changes machines, at times of their own, until `healed` is aborted. */
async function changeMachines(
  cluster: Cluster,
  betweenMs: number,
  struck: Map<string, number>,
  healed: AbortSignal,
): Promise<void> {
  const { clock, machineRandom } = cluster;
  if (machineRandom() > MACHINES.share) return;
  const share = 0.1 + 0.9 * machineRandom();
  const kinds = MACHINE_FAULTS.filter(() => machineRandom() < share);
  while (kinds.length > 0) {
    await clock.sleep(-Math.log(1 - machineRandom()) * betweenMs, healed).catch(() => undefined);
    if (healed.aborted) return;
    const count = machineRandom() < MACHINES.together ? 2 + Math.floor(machineRandom() * 3) : 1;
    for (let i = 0; i < count; i++) {
      const fault = kinds[Math.floor(machineRandom() * kinds.length)];
      if (fault !== undefined) strike(fault, cluster, struck, healed);
    }
  }
}

function strike(fault: Fault, cluster: Cluster, struck: Map<string, number>, healed: AbortSignal): void {
  struck.set(fault.name, (struck.get(fault.name) ?? 0) + 1);
  void fault.strike(cluster, healed);
}

/** Waits for convergence and returns the time that it took. */
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
    if (tookMs <= CONVERGENCE_MS) continue;
    laws.break('a fair world becomes right', found);
    return tookMs;
  }
}

/** Checks that a converged cluster does nothing. */
async function rest(cluster: Cluster): Promise<void> {
  const { laws, memory, trace } = cluster;
  const revision = (): number => Math.max(0, ...memory.entries().map((entry) => entry.revision));
  const before = revision();
  trace.note('world', 'is right');
  await advance(cluster, cluster.scene.isHostile === true ? HOSTILE_QUIET_MS : QUIET_MS);
  if (laws.violation !== undefined) return;
  const found = complaint(cluster, await cluster.backend());
  if (found !== undefined) laws.break('what is right stays right', found);
  if (revision() > before) laws.break('who is content writes nothing', `revision ${revision()}`);
  const surplus = laws.volume.surplus();
  if (surplus !== undefined) laws.break('what has gone is forgotten', surplus);
}

// In steps, so that the run ends soon after a breach of a law.
async function advance(cluster: Cluster, ms: number): Promise<void> {
  const { clock, laws } = cluster;
  const endMs = clock.monotonicMs() + ms;
  while (clock.monotonicMs() < endMs && laws.violation === undefined)
    await clock.advance(Math.min(1_000, endMs - clock.monotonicMs())).catch((error: unknown) => {
      if (laws.violation === undefined) throw error;
    });
}

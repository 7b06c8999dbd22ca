// The time with a hostile writer: attacks at times of their own, and meanwhile some faults of nodes and of their ways
// to the store.
import type { Cluster } from '../cluster.ts';
import type { Fault } from '../faults/fault.ts';
import { NODE_FAULTS } from '../faults/node-faults.ts';
import { STORE_FAULTS } from '../faults/store-faults.ts';
import { ATTACKS } from './attacks.ts';
import { HostileWriter } from './writer.ts';

/** Faults that take no lease away: a node that is fine keeps its subnet, and the ways to it. */
const NAMES = new Set([
  'its agent is killed',
  'its agent is stopped',
  'the machine is started anew',
  'its address changes',
  'its MTU changes',
  'a node joins',
  'the watch breaks',
  'history is compacted',
  'cut off from the store',
]);
const FAULTS: readonly Fault[] = [...NODE_FAULTS, ...STORE_FAULTS].filter(({ name }) => NAMES.has(name));

const TROUBLE_MS = { least: 3_000, most: 9_000 };
const BETWEEN_ATTACKS_MS = { least: 150, most: 2_000 };
const SHARES = {
  /** Seeds with faults, too. */
  faults: 0.5,
  /** Attacks before which the writer pauses. */
  pauses: 0.7,
  /** Seeds in which the junk goes at the end. */
  removal: 0.75,
};

/** Strikes attacks and faults, and lets time pass with `advance`. Returns whether junk stays. */
export async function besiege(
  cluster: Cluster,
  seed: number,
  strike: (fault: Fault) => void,
  advance: (ms: number) => Promise<void>,
): Promise<boolean> {
  const writer = new HostileWriter(cluster, seed);
  const { chance } = writer;
  await writer.open();
  const share = 0.15 + 0.85 * chance.number();
  const attacks = ATTACKS.filter(() => chance.is(share));
  const faults = chance.is(SHARES.faults) ? FAULTS.filter(() => chance.is(0.5)) : [];
  const endMs = TROUBLE_MS.least + chance.number() * (TROUBLE_MS.most - TROUBLE_MS.least);
  const { least, most } = BETWEEN_ATTACKS_MS;
  const betweenMs = least + chance.number() ** 2 * (most - least);
  const now = (): number => cluster.clock.monotonicMs();
  while (now() < endMs && cluster.laws.violation === undefined) {
    await advance(chance.is(SHARES.pauses) ? Math.min(2 * chance.number() * betweenMs, endMs - now()) : 0);
    if (faults.length > 0 && chance.is(0.1)) strike(chance.pick(faults));
    if (attacks.length === 0) continue;
    const { name, strike: write } = chance.pick(attacks);
    strike({
      name,
      strike() {
        cluster.trace.note('writer', name);
        return write(writer).catch((error: unknown) => {
          // The store is closed as soon as a law is broken.
          if (cluster.laws.violation === undefined) throw error;
        });
      },
    });
  }
  // Floods end.
  await advance(2_000);
  await writer.configure(cluster.configText);
  const isLeft = !chance.is(SHARES.removal);
  if (!isLeft) await writer.deleteAll();
  return isLeft;
}

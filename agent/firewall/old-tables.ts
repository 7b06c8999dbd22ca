// Saves looks at the old iptables. Its programs copy a whole table for the listing of one chain, and no event tells of
// changes. The sizes of a table can be read alone: they tell that a rule has gone or come. Each table is looked at for
// itself: kube-proxy may have 100,000 rules in one, while others change the other one all the time.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import type { ReadTableSizes, TableSizes } from '../model/ruleset.ts';
import { LIMITS } from './limits.ts';

type Outcome = 'present' | 'repaired';

interface Look<T> {
  readonly wanted: T;
  /** Read before the look. */
  readonly sizes: TableSizes | undefined;
  readonly endedMs: number;
  readonly tookMs: number;
}

interface Memory<T> {
  /** The last look; undefined: the next one is due. */
  last: Look<T> | undefined;
  parts: number;
}

/**
 * Gives a function that makes a look at the tables of which one is due. It leaves out a table that has not changed in
 * size, or only outside of the chain that ours is called from, when the last look was dear. A dear look is made again
 * in time all the same, since a rule may have taken another's place.
 */
export function createOldTables<T extends { readonly table: string }>(
  clock: Clock,
  readSizes: ReadTableSizes,
): (wanted: readonly T[], look: (due: readonly T[]) => Promise<Outcome>) => Promise<Outcome> {
  const { quietParts, firstParts } = LIMITS.oldTables;
  const memories = new Map<string, Memory<T>>();
  const memoryOf = (table: string): Memory<T> => {
    const memory = memories.get(table) ?? { last: undefined, parts: firstParts };
    memories.set(table, memory);
    return memory;
  };
  const isSpared = (wanted: T, sizes: TableSizes | undefined): boolean => {
    const memory = memoryOf(wanted.table);
    const { last } = memory;
    if (last === undefined || !isDeepStrictEqual(wanted, last.wanted)) return false;
    if (sizes?.parent !== last.sizes?.parent) return false;
    const isSame = isDeepStrictEqual(sizes, last.sizes);
    if (isSame) memory.parts = firstParts;
    return clock.monotonicMs() < last.endedMs + last.tookMs * (isSame ? quietParts : memory.parts);
  };
  return async (wanted, look) => {
    const sizes = await readSizes();
    const due = wanted.filter((each) => !isSpared(each, sizes?.get(each.table)));
    if (due.length === 0) return 'present';
    for (const { table } of due) {
      const memory = memoryOf(table);
      // While other programs change their rules all the time, looks that find nothing become rare.
      const isChanged = memory.last !== undefined && !isDeepStrictEqual(sizes?.get(table), memory.last.sizes);
      if (isChanged) memory.parts = Math.min(quietParts, 2 * memory.parts);
      memory.last = undefined;
    }
    const startMs = clock.monotonicMs();
    const outcome = await look(due);
    const endedMs = clock.monotonicMs();
    for (const each of due) {
      const memory = memoryOf(each.table);
      if (outcome !== 'present') memory.parts = firstParts;
      else memory.last = { wanted: each, sizes: sizes?.get(each.table), endedMs, tookMs: endedMs - startMs };
    }
    return outcome;
  };
}

// Saves looks at the old iptables. Its programs copy a whole table for the listing of one chain, and no event tells of
// changes. The sizes of a table can be read alone: they tell that a rule has gone or come.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import type { FirewallRules } from '../model/firewall.ts';
import type { ReadTableSizes, TableSizes } from '../model/ruleset.ts';
import { LIMITS } from './limits.ts';

type Outcome = 'present' | 'repaired';

interface Look {
  readonly rules: FirewallRules;
  /** Read before the look. */
  readonly sizes: TableSizes | undefined;
  readonly endedMs: number;
  readonly tookMs: number;
}

/**
 * Gives a function that makes a look, or leaves it out: nothing has changed in size, or only outside of the chains that
 * ours are called from, and the last look was dear. A dear look is made again in time all the same, since a rule may
 * have taken another's place.
 */
export function createOldTables(
  clock: Clock,
  readSizes: ReadTableSizes,
): (rules: FirewallRules, look: () => Promise<Outcome>) => Promise<Outcome> {
  const { quietParts, firstParts } = LIMITS.oldTables;
  let last: Look | undefined;
  let parts: number = firstParts;
  const isSpared = (rules: FirewallRules, sizes: TableSizes | undefined): boolean => {
    if (last === undefined || !isDeepStrictEqual(rules, last.rules)) return false;
    if (!isDeepStrictEqual(sizes?.parents, last.sizes?.parents)) return false;
    const isSame = isDeepStrictEqual(sizes, last.sizes);
    if (isSame) parts = firstParts;
    return clock.monotonicMs() < last.endedMs + last.tookMs * (isSame ? quietParts : parts);
  };
  return async (rules, look) => {
    const sizes = await readSizes();
    if (isSpared(rules, sizes)) return 'present';
    // While other programs change their rules all the time, looks that find nothing become rare.
    if (last !== undefined && !isDeepStrictEqual(sizes, last.sizes)) parts = Math.min(quietParts, 2 * parts);
    last = undefined;
    const startMs = clock.monotonicMs();
    const outcome = await look();
    const endedMs = clock.monotonicMs();
    if (outcome === 'present') last = { rules, sizes, endedMs, tookMs: endedMs - startMs };
    else parts = firstParts;
    return outcome;
  };
}

// Draws by chance from a source of its own, so that other draws do not change these.
import { seededRandom } from '../../fakes/seeded-random.ts';

export interface Chance {
  /** From 0 to 1, without 1. */
  readonly number: () => number;
  /** A whole number from 0 to `end`, without it. */
  readonly upTo: (end: number) => number;
  /** True in this share of the draws. */
  readonly is: (share: number) => boolean;
  readonly pick: <T>(items: readonly T[]) => T;
}

export function createChance(seed: number): Chance {
  const number = seededRandom(seed);
  const upTo = (end: number): number => Math.floor(number() * end);
  return {
    number,
    upTo,
    is: (share) => number() < share,
    pick(items) {
      const item = items[upTo(items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
  };
}

// A few hundred seeds of whole clusters; `npm run simulate` runs more.
import { describe, expect, it } from 'vitest';
import { formatFailure } from './report.ts';
import { simulate } from './simulate.ts';

/** Seeds are run until this much real time is over, so that a slow machine runs fewer. */
const RUN_MS = 8_000;
const MOST_SEEDS = 400;
const FEWEST_SEEDS = 20;

const check = async (seed: number): Promise<void> => {
  const outcome = await simulate(seed);
  expect(outcome.violation, formatFailure(outcome)).toBeUndefined();
};

describe('a simulated cluster', () => {
  it('holds every law and converges, whatever happens', { timeout: 60_000 }, async () => {
    const startMs = performance.now();
    let seed = 1_001;
    for (; seed <= 1_000 + MOST_SEEDS; seed++) {
      if (performance.now() - startMs > RUN_MS && seed > 1_000 + FEWEST_SEEDS) break;
      await check(seed);
    }
  });

  it('lives through the same again from the same seed', async () => {
    for (const seed of [1, 2, 3]) {
      const [first, second] = [await simulate(seed), await simulate(seed)];
      expect(second.digest).toBe(first.digest);
    }
    expect((await simulate(2)).digest).not.toBe((await simulate(3)).digest);
  });
});

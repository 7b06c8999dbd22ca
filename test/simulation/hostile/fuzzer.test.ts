// Some hundred seeds of whole clusters with a hostile writer; `npm run simulate -- --hostile` runs more.
import { expect, it } from 'vitest';
import { formatFailure } from '../report.ts';
import { simulate } from '../simulate.ts';

const FIRST_SEED = 10_000;
const SEEDS = 300;

/** Seeds that found a bug, with the bug; see `simulation.test.ts`. */
const FOUND: readonly (readonly [number, string])[] = [
  [3, 'a node never forgot odd keys that had been deleted'],
  [4, "a lease of a part of a peer's subnet got a route, and the traffic to that part"],
  [5, "a newer lease with an older node's MAC, at 127.0.0.1, took its traffic"],
  [15, "a newer lease with an older node's MAC took its traffic"],
  [16, 'a lease at the address of a multicast group got an fdb entry'],
  [18, 'a node ended the session of others, to which somebody had bound a lease in its name'],
  [429, 'a node whose lease somebody wrote over for a moment lost what it had to a newer lease'],
  [816, 'a peer with host-gw whose route was refused, and then led back, had none'],
];

const check = async (seed: number): Promise<void> => {
  const outcome = await simulate(seed, { scene: 'hostile' });
  expect(outcome.violation, formatFailure(outcome)).toBeUndefined();
};

it.each(FOUND)('seed %i holds every law beside a hostile writer: %s', check);

it('clusters beside a hostile writer hold every law, whatever it writes', { timeout: 300_000 }, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) await check(seed);
});

// The text about a failed seed.
import type { Outcome } from './simulate.ts';

/** The law, the time of its breach, the events before, and the command that repeats the seed. */
export function formatFailure({ seed, isHostile, violation, trace }: Outcome): string {
  if (violation === undefined) return `seed ${seed}: all laws hold`;
  const { law, detail, atMs } = violation;
  return [
    `seed ${seed}: "${law}" does not hold after ${(atMs / 1_000).toFixed(3)} s`,
    ...detail.split('\n').map((line) => `  ${line}`),
    'the last events:',
    ...trace.map((line) => `  ${line}`),
    `run it again, with its whole trace: npm run simulate -- --seed ${seed}${isHostile ? ' --hostile' : ''}`,
    '',
  ].join('\n');
}

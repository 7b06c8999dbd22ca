// `npm run simulate`: many seeds in as many processes as there are processors, or one seed with its whole trace.
// scripts/simulate.mjs starts it.
import { formatFailure } from './report.ts';
import { simulate } from './simulate.ts';

export const usage = `npm run simulate [-- --seeds N] [--from N] [--hostile]
npm run simulate -- --seed N [--hostile]

  --seeds N   how many seeds are run (default 1000)
  --from N    the first of them (default 1)
  --seed N    one seed, with its whole trace
  --hostile   somebody writes junk under the network's prefix meanwhile
`;

/** With a hostile writer, or ordinary. */
type Kind = 'hostile' | undefined;

/** The result of one process's seeds. */
export interface Report {
  readonly seeds: number;
  readonly failures: number;
  readonly virtualMs: number;
  readonly slowestMs: number;
  readonly faults: Readonly<Record<string, number>>;
}

/** Further failures are printed with their law alone. */
const SHOWN_FAILURES = 3;

/** Runs one seed and writes each event when it happens. Returns whether all laws hold. */
export async function replay(seed: number, scene: Kind, write: (text: string) => void): Promise<boolean> {
  const outcome = await simulate(seed, { scene, show: (line) => write(`${line}\n`) });
  write(formatFailure({ ...outcome, trace: [] }));
  write(`\ndigest ${outcome.digest}\n`);
  return outcome.violation === undefined;
}

/** Runs the seeds `from`, `from + step`, … below `end`. Calls `tell` at each failure. */
export async function runSeeds(
  { from, end, step }: { readonly from: number; readonly end: number; readonly step: number },
  scene: Kind,
  tell: (text: string) => void,
): Promise<Report> {
  const faults: Record<string, number> = {};
  let [seeds, failures, virtualMs, slowestMs] = [0, 0, 0, 0];
  for (let seed = from; seed < end; seed += step) {
    const outcome = await simulate(seed, { scene });
    seeds += 1;
    virtualMs += outcome.virtualMs;
    slowestMs = Math.max(slowestMs, outcome.convergedMs);
    for (const [name, count] of outcome.faults) faults[name] = (faults[name] ?? 0) + count;
    if (outcome.violation === undefined) continue;
    failures += 1;
    tell(
      failures <= SHOWN_FAILURES
        ? formatFailure(outcome)
        : `seed ${seed}: "${outcome.violation.law}" does not hold\n`,
    );
  }
  return { seeds, failures, virtualMs, slowestMs, faults };
}

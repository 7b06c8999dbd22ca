// `npm run simulate`: sets up the checkout, then runs seeds of simulated clusters, one process for each processor.
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setUp } from './setup.mjs';

const program = new URL('../dist/lab/test/simulation/main.js', import.meta.url);
const isPart = process.send !== undefined;

try {
  if (isPart) {
    const { runSeeds } = await import(program.href);
    const [from = 0, end = 0, step = 1, isHostile = 0] = process.argv.slice(2).map(Number);
    const kind = isHostile === 1 ? 'hostile' : undefined;
    const report = await runSeeds({ from, end, step }, kind, (text) => process.send?.(text));
    process.send?.(report, () => process.disconnect());
  } else {
    const { seed, seeds, from, isHostile, help } = readOptions();
    await setUp([]);
    const { replay, usage } = await import(program.href);
    if (help) process.stdout.write(usage);
    else if (seed !== undefined) {
      const kind = isHostile ? 'hostile' : undefined;
      process.exitCode = (await replay(seed, kind, (text) => process.stdout.write(text))) ? 0 : 1;
    } else process.exitCode = await runAll(from, seeds, isHostile);
  }
} catch (error) {
  process.stderr.write(`simulate: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function readOptions() {
  const type = /** @type {const} */ ('string');
  const flag = /** @type {const} */ ({ type: 'boolean' });
  const { values } = parseArgs({
    options: { seed: { type }, seeds: { type }, from: { type }, hostile: flag, help: flag },
  });
  return {
    seed: values.seed === undefined ? undefined : number('--seed', values.seed),
    seeds: number('--seeds', values.seeds ?? '1000'),
    from: number('--from', values.from ?? '1'),
    isHostile: values.hostile === true,
    help: values.help === true,
  };
}

/**
 * @param {string} name
 * @param {string} text
 */
function number(name, text) {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${name}: must be a whole number, is ${JSON.stringify(text)}`);
  return Number(text);
}

/**
 * @param {number} from
 * @param {number} seeds
 * @param {boolean} isHostile
 * @returns {Promise<number>} The exit code.
 */
async function runAll(from, seeds, isHostile) {
  const startMs = performance.now();
  const processes = Math.max(1, Math.min(availableParallelism(), seeds));
  process.stdout.write(`${seeds} seeds in ${processes} processes; a failure is printed at once\n`);
  const reports = await Promise.all(
    Array.from({ length: processes }, (_, i) => runPart(from + i, from + seeds, processes, isHostile)),
  );
  const sum = (/** @type {(report: Report) => number} */ of) =>
    reports.reduce((all, report) => all + of(report), 0);
  const failures = sum((report) => report.failures);
  const days = sum(({ virtualMs }) => virtualMs) / 86_400_000;
  const slowestMs = Math.max(...reports.map((report) => report.slowestMs));
  const struck = sum(({ faults }) => Object.values(faults).reduce((all, count) => all + count, 0));
  process.stdout.write(
    `${sum((report) => report.seeds)} seeds, ${failures} failed: ${days.toFixed(1)} days of clusters with ${struck} faults in ${((performance.now() - startMs) / 1_000).toFixed(0)} s; the slowest converged after ${slowestMs / 1_000} s\n`,
  );
  return failures === 0 ? 0 : 1;
}

/** @typedef {import('../test/simulation/main.ts').Report} Report */

/**
 * @param {number} from
 * @param {number} end
 * @param {number} step
 * @param {boolean} isHostile
 * @returns {Promise<Report>}
 */
function runPart(from, end, step, isHostile) {
  const child = fork(fileURLToPath(import.meta.url), [from, end, step, Number(isHostile)].map(String));
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (typeof message === 'string') process.stdout.write(`${message}\n`);
      else resolve(/** @type {Report} */ (message));
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`a process ended with exit code ${code}`)));
  });
}

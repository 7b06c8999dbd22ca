// `npm run test:faults [-- --repeat N]`: runs the table of faults N times, without the shortcuts of `npm test`. The
// last line counts the tests of all runs. The program succeeds only if no test failed in any run.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './setup.mjs';

const MAX_REPEAT = 999;

try {
  const { values } = parseArgs({ options: { repeat: { type: 'string', default: '1' } } });
  if (!/^[1-9]\d{0,2}$/.test(values.repeat))
    throw new Error(`--repeat: must be a whole number from 1 to ${MAX_REPEAT}, is "${values.repeat}"`);
  const sum = { passed: 0, failed: 0, skipped: 0, runs: 0 };
  for (let run = 1; run <= Number(values.repeat); run += 1) {
    process.stdout.write(`run ${run} of ${values.repeat}\n`);
    const counts = await testOnce();
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
    sum.runs += 1;
  }
  process.stdout.write(
    `${sum.runs} runs: ${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped\n`,
  );
  process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`test:faults: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** @returns {Promise<{ passed: number, failed: number, skipped: number }>} */
function testOnce() {
  const env = { ...process.env, TWILL_FULL_FAULTS: '1' };
  const child = spawn(process.execPath, [join(ROOT, 'scripts/test.mjs'), 'faults'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // The terminal signals both processes. The test run ends by itself, and this process ends after it.
  let isStopped = false;
  process.once('SIGINT', () => {
    isStopped = true;
  });
  let tail = '';
  child.stdout.on('data', (piece) => {
    process.stdout.write(piece);
    tail = (tail + piece).slice(-500);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      const [, passed, failed, skipped] = /(\d+) passed, (\d+) failed, (\d+) skipped\n$/.exec(tail) ?? [];
      if (isStopped || passed === undefined) reject(new Error('a run ended without counts'));
      else resolve({ passed: Number(passed), failed: Number(failed), skipped: Number(skipped) });
    });
  });
}

// `npm test`: sets up the checkout, then runs the whole suite in a fixed order. The last line of the output is
// `N passed, N failed, N skipped`. The program succeeds only if a test passed and none failed.
//
// As root the suite runs in a network namespace of its own, so that the tests of the real kernel never touch the
// machine's network.
//
//     npm test                          everything
//     npm test -- unit kernel           some parts
//     npm test -- test/unit/lease       some files; further options go to vitest
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillKubernetes } from './kubernetes-cache.mjs';
import { withLock } from './lock.mjs';
import { CACHE, fetchParts } from './package-parts.mjs';
import { ALL_PROGRAMS, ROOT, setUp } from './setup.mjs';
import { readResults } from './test-results.mjs';

/** The names of vitest.config.ts. */
const PARTS = [
  'tidy',
  'unit',
  'dgram-native',
  'conformance',
  'kubernetes',
  'simulation',
  'kernel',
  'e2e',
  'hostile',
  'containers',
  'hosts',
  'faults',
];
const LIMIT_MS = 55 * 60_000;

/** Whether a skipped test is a failure: in CI as root, where every test can run. */
const isStrict = process.env['CI'] === 'true' && process.getuid?.() === 0;

const { passed, failed, skipped } = await testAll();
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

async function testAll() {
  const folder = mkdtempSync(join(tmpdir(), 'twill-test-'));
  try {
    await setUp(ALL_PROGRAMS);
    await fillCaches();
    const report = join(folder, 'report.json');
    const exitCode = await runVitest(process.argv.slice(2), report, openPrivateNetwork());
    await sweep();
    const results = readResults(read(report), ROOT, isStrict);
    for (const line of results.notes) process.stdout.write(`${line}\n`);
    // An error outside of tests fails the run, but no test.
    const hidden = exitCode !== 0 && results.failed === 0 ? 1 : 0;
    if (hidden > 0)
      process.stdout.write(`vitest ended with exit code ${exitCode}, which counts as a failure\n`);
    return { ...results, failed: results.failed + hidden };
  } catch (error) {
    process.stderr.write(`test: ${error instanceof Error ? error.message : String(error)}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// The caches are filled outside of the tests' network, which leads nowhere.
async function fillCaches() {
  const say = (/** @type {string} */ line) => void process.stdout.write(`test: ${line}\n`);
  if (runs('conformance')) {
    const { buildEtcdVersions, etcdCacheFolder } = await import('../dist/lab/test/lab/etcd-versions.js');
    await withLock('etcd', etcdCacheFolder(), () => buildEtcdVersions(say));
  }
  if (runs('kubernetes')) {
    await fillKubernetes(say);
    const { kubernetesCacheFolder } = await import('../dist/lab/test/lab/kubernetes/programs.js');
    const { buildHelm } = await import('../dist/lab/test/lab/kubernetes/helm.js');
    await withLock('kubernetes', kubernetesCacheFolder(), () => buildHelm(say));
    await fillFlannelCache(say);
  }
  if (runs('kubernetes') || runs('e2e')) {
    const { fillPromtool } = await import('../dist/lab/test/lab/promtool.js');
    const { engineCacheFolder } = await import('../dist/lab/test/lab/engines/cache.js');
    await withLock('engines', engineCacheFolder(), () => fillPromtool(say));
  }
  if (runs('containers')) {
    const { fillEngineCache, engineCacheFolder } = await import('../dist/lab/test/lab/engines/cache.js');
    await withLock('engines', engineCacheFolder(), () => fillEngineCache(say));
  }
  if (runs('hosts')) {
    const { engineCacheFolder } = await import('../dist/lab/test/lab/engines/cache.js');
    const { fillHostCache } = await import('../dist/lab/test/lab/systemd/debian-hosts.js');
    await withLock('engines', engineCacheFolder(), () => fillHostCache(say));
    await withLock('packages', CACHE, () => fetchParts(say));
    await fillFlannelCache(say);
  }
}

/** @param {(line: string) => void} say */
async function fillFlannelCache(say) {
  const { buildFlanneld, flannelCacheFolder } = await import('../dist/lab/test/lab/flanneld.js');
  await withLock('flannel', flannelCacheFolder(), () => buildFlanneld(say));
}

/**
 * Whether a part may be among the tests to run.
 *
 * @param {string} part
 */
function runs(part) {
  const args = process.argv.slice(2).filter((arg) => PARTS.includes(arg) || arg.includes('test/'));
  return args.length === 0 || args.some((arg) => arg === part || arg.includes(`test/${part}`));
}

/**
 * Makes a network namespace with its loopback up. Undefined: the machine does not permit it.
 *
 * @returns {string | undefined} Its path.
 */
function openPrivateNetwork() {
  if (process.getuid?.() !== 0) return undefined;
  const name = `tw-${process.pid}-0-suite`;
  const isMade = spawnSync('ip', ['netns', 'add', name]).status === 0;
  const isUp = isMade && spawnSync('ip', ['-n', name, 'link', 'set', 'lo', 'up']).status === 0;
  return isUp ? `/run/netns/${name}` : undefined;
}

/**
 * @param {readonly string[]} args
 * @param {string} report
 * @param {string | undefined} network
 * @returns {Promise<number>} Its exit code.
 */
function runVitest(args, report, network) {
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const rest = args.flatMap((arg) => (PARTS.includes(arg) ? ['--project', arg] : [arg]));
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const enter = network === undefined ? [] : ['nsenter', `--net=${network}`, '--'];
  const [file = '', ...words] = [...enter, process.execPath, vitest, 'run', ...reporters, ...rest];
  const env = { ...process.env, ...(network === undefined ? {} : { TWILL_PRIVATE_NETNS: '1' }) };
  const child = spawn(file, words, { cwd: ROOT, stdio: 'inherit', env });
  // The terminal signals both processes. Vitest ends by itself, and this process ends after it.
  const wait = () => undefined;
  process.on('SIGINT', wait);
  process.once('SIGTERM', () => child.kill('SIGTERM'));
  const timer = setTimeout(() => {
    process.stdout.write(`the suite is killed after ${LIMIT_MS / 60_000} minutes\n`);
    child.kill('SIGKILL');
  }, LIMIT_MS);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      clearTimeout(timer);
      process.off('SIGINT', wait);
      resolve(code ?? 1);
    });
  });
}

// Removes the namespaces and processes that killed tests left behind.
async function sweep() {
  if (process.getuid?.() !== 0) return;
  const { removeOwnLabs, sweepLeftovers } = await import('../dist/lab/test/lab/sweep.js');
  await removeOwnLabs();
  await sweepLeftovers();
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    throw new Error('vitest wrote no report');
  }
}

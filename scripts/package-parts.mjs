// Parts of the packages that a checkout does not hold: the npm packages with native code of each architecture, and
// nfpm, which writes .deb and .rpm. Both are fetched once, into a cache folder that all checkouts share.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT } from './setup.mjs';

/** The architectures under Debian's names, with Node's. */
export const ARCHITECTURES = /** @type {const} */ ({ amd64: 'x64', arm64: 'arm64' });

/** @typedef {keyof typeof ARCHITECTURES} Architecture */

/** The folder of the parts. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twill', 'packages');

const NFPM = '2.45.2';
const NPM_MS = 300_000;
const GO_MS = 600_000;
const GIT_MS = 30_000;
/** The npm packages that are not in the bundle. */
const NATIVE = ['@koromix', 'koffi', 'netlink', 'node-gyp-build'];
/** The files that say which npm packages there are. */
const MANIFESTS = ['package.json', 'package-lock.json', 'backends/dgram-native/package.json'];

/**
 * Fetches the npm packages of an architecture. npm checks their integrity by package-lock.json, and runs no script of
 * theirs.
 *
 * @param {Architecture} architecture
 * @returns {string} The folder `node_modules`.
 */
export function fetchNodeModules(architecture) {
  const lock = readFileSync(join(ROOT, 'package-lock.json'));
  const name = `npm-${architecture}-${createHash('sha256').update(lock).digest('hex').slice(0, 8)}`;
  return once(name, `fetching npm packages for ${architecture}`, (folder) => {
    for (const file of MANIFESTS) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      cpSync(join(ROOT, file), join(folder, file));
    }
    const cpu = `--cpu=${ARCHITECTURES[architecture]}`;
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
    run('npm', ['ci', '--omit=dev', '--os=linux', '--libc=glibc', cpu, ...quiet], NPM_MS, { cwd: folder });
    const modules = join(folder, 'node_modules');
    for (const name of readdirSync(modules).filter((each) => !NATIVE.includes(each)))
      rmSync(join(modules, name), { recursive: true });
    return modules;
  });
}

/**
 * Builds nfpm from its Go module, whose checksum Go looks up.
 *
 * @returns {string} The program.
 */
export function buildNfpm() {
  return once(`nfpm-${NFPM}`, `building nfpm ${NFPM}`, (folder) => {
    const env = {
      ...process.env,
      GOBIN: folder,
      CGO_ENABLED: '0',
      GOTOOLCHAIN: 'local',
      GOWORK: 'off',
      GOFLAGS: '',
    };
    const module = `github.com/goreleaser/nfpm/v2/cmd/nfpm@v${NFPM}`;
    run('go', ['install', '-trimpath', '-ldflags=-s -w', module], GO_MS, { env });
    return join(folder, 'nfpm');
  });
}

/**
 * Makes all parts ahead. A failure is told; building the packages then fails with the same reason.
 *
 * @param {(line: string) => void} say
 */
export function fetchParts(say) {
  try {
    for (const architecture of /** @type {Architecture[]} */ (Object.keys(ARCHITECTURES)))
      fetchNodeModules(architecture);
    buildNfpm();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

/** The time of all files: that of the commit. SOURCE_DATE_EPOCH gives another, where there is no repository. */
export function readTimeS() {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (given === undefined) return Number(run('git', ['log', '-1', '--format=%ct'], GIT_MS));
  if (/^\d{1,10}$/.test(given)) return Number(given);
  throw new Error(`SOURCE_DATE_EPOCH must be seconds since 1970, is ${JSON.stringify(given)}`);
}

/**
 * Makes something in a temporary folder, and moves it to its name in the cache.
 *
 * @param {string} name
 * @param {string} title
 * @param {(folder: string) => string} make Returns what is kept.
 * @returns {string} Its path.
 */
function once(name, title, make) {
  const path = join(CACHE, name);
  if (existsSync(path)) return path;
  process.stdout.write(`package: ${title}, once\n`);
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, '.make-'));
  try {
    renameSync(make(folder), path);
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return path;
}

/**
 * Runs a program. Throws with its output if it fails.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {number} timeout Milliseconds.
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {string} Its standard output.
 */
export function run(file, args, timeout, options = {}) {
  const result = spawnSync(file, args, { cwd: ROOT, encoding: 'utf8', timeout, ...options });
  if (result.status === 0) return result.stdout;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-8).join('\n');
  throw new Error(`${file} failed: ${result.error?.message ?? said}`);
}

// Sets up a checkout: system packages, npm packages, the build. It does only the missing steps, prints one line for
// each of them, and is silent and fast if there are none.
//
//     node scripts/setup.mjs
//
// It needs Node.js and npm. Set-ups of one checkout run one after the other.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { withLock } from './lock.mjs';

/** The folder of package.json. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Debian's and Ubuntu's package of each program that the tests and the lab run. */
const PACKAGES = /** @type {const} */ ({
  ip: 'iproute2',
  ss: 'iproute2',
  iptables: 'iptables',
  nft: 'nftables',
  ping: 'iputils-ping',
  sysctl: 'procps',
  nsenter: 'util-linux',
  hostname: 'hostname',
  mount: 'mount',
  etcd: 'etcd-server',
  etcdctl: 'etcd-client',
  openssl: 'openssl',
  'systemd-nspawn': 'systemd-container',
  buildah: 'buildah',
  iperf3: 'iperf3',
  firewalld: 'firewalld',
  'firewall-cmd': 'firewalld',
  'dbus-daemon': 'dbus-daemon',
  // With Vagrant and Ruby: 90 MB, and neither libvirt's daemon nor a VM.
  vagrant: 'vagrant-libvirt',
});
/** The services of those packages. The tests start the programs themselves. */
const SERVICES = { 'etcd-server': 'etcd', firewalld: 'firewalld' };

/** @typedef {keyof typeof PACKAGES} Program */

/** @type {readonly Program[]} */
export const ALL_PROGRAMS = /** @type {Program[]} */ (Object.keys(PACKAGES));
/** Programs of a lab whose datastore is a folder. @type {readonly Program[]} */
export const LAB_PROGRAMS = ['ip', 'ss', 'iptables', 'nft', 'ping', 'sysctl', 'nsenter', 'hostname', 'mount'];
/** Further programs of a lab whose datastore is etcd. @type {readonly Program[]} */
export const ETCD_PROGRAMS = ['etcd', 'etcdctl'];

const NODE_MIN = [20, 19];
const APT_UPDATE_MS = 180_000;
const APT_INSTALL_MS = 600_000;
const NPM_MS = 600_000;
const SERVICES_MS = 30_000;
const BUILD_MS = 300_000;
/** Input of the build. A newer file in it makes the build stale. */
const SOURCES = [
  'agent',
  'backends',
  'test/lab',
  'test/bench',
  'test/faults',
  'test/simulation',
  'test/fakes',
  'test/support',
  'scripts/bundle.mjs',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
];
const STAMP = join(ROOT, 'dist/.built');
/** In build order: the agent is checked against the declarations of the package, and bundled with its code. */
const BUILD = [
  ['node_modules/typescript/bin/tsc', '-p', 'backends/dgram-native'],
  ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
  ['scripts/bundle.mjs'],
];
/** Output folders among the input. */
const OUTPUT = ['dist', 'node_modules'];
/** Debian asks this program whether to start the service of a newly installed package. */
const SERVICE_POLICY = '/usr/sbin/policy-rc.d';

/**
 * Does the missing steps. A program that cannot be installed is only reported, because tests that need it are skipped.
 * Throws an Error of one line, or with the output of the build, when a later step cannot work.
 *
 * @param {readonly Program[]} programs
 */
export async function setUp(programs) {
  checkNode();
  if (missing(programs).length === 0 && npmPackagesAreFresh() && buildIsFresh()) return;
  await withLock('setup', ROOT, () => {
    // Checked again: the last holder of the lock may have done all steps.
    installPrograms(programs);
    if (!npmPackagesAreFresh()) installNpmPackages();
    if (!buildIsFresh()) build();
  });
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor = 0, needMinor = 0] = NODE_MIN;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  throw new Error(`needs Node.js ${NODE_MIN.join('.')} or newer; this is ${process.versions.node}`);
}

/** @param {readonly Program[]} programs */
function missing(programs) {
  return programs.filter((program) => !hasProgram(program));
}

/** @param {string} program */
function hasProgram(program) {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, program)));
}

/** @param {readonly Program[]} programs */
function installPrograms(programs) {
  const absent = missing(programs);
  if (absent.length === 0) return;
  const packages = [...new Set(absent.map((program) => PACKAGES[program]))];
  const what = `${absent.join(', ')} (apt packages: ${packages.join(' ')})`;
  if (process.getuid?.() !== 0) return say(`missing ${what}: not installed, because that needs root`);
  if (!hasProgram('apt-get')) return say(`missing ${what}: not installed, because apt-get is missing`);
  say(`installing ${what}`);
  const options = ['-qq', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=2'];
  // A failure of the update is ignored: only the installation has to work.
  run('apt-get', [...options, 'update'], APT_UPDATE_MS);
  const failure = withoutServices(() =>
    run('apt-get', [...options, 'install', '-y', '--no-install-recommends', ...packages], APT_INSTALL_MS),
  );
  // The next boot starts no service either.
  const services = packages.flatMap((name) => (name in SERVICES ? [SERVICES[name]] : []));
  if (services.length > 0 && hasProgram('systemctl')) run('systemctl', ['disable', ...services], SERVICES_MS);
  const still = missing(programs);
  if (still.length > 0)
    say(
      `still missing ${still.join(', ')}: ${failure?.split('\n').at(-1) ?? 'the packages have no such program'}`,
    );
}

/**
 * Runs `install` so that it starts no service, such as an etcd in the machine's own network.
 *
 * @template T
 * @param {() => T} install
 */
function withoutServices(install) {
  if (existsSync(SERVICE_POLICY)) return install();
  writeFileSync(SERVICE_POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return install();
  } finally {
    rmSync(SERVICE_POLICY, { force: true });
  }
}

function npmPackagesAreFresh() {
  const installed = modified(join(ROOT, 'node_modules/.package-lock.json'));
  return installed !== 0 && installed >= modified(join(ROOT, 'package-lock.json'));
}

function installNpmPackages() {
  say('installing npm packages');
  const failure = run('npm', ['ci', '--no-audit', '--no-fund'], NPM_MS);
  // npm prints the error first, then a long usage text.
  if (failure !== undefined) throw new Error(`npm ci failed:\n${failure.split('\n').slice(0, 8).join('\n')}`);
}

function buildIsFresh() {
  const built = modified(STAMP);
  return built !== 0 && SOURCES.every((path) => newest(join(ROOT, path)) <= built);
}

function build() {
  say('building');
  // Made before the start time is taken, because a new folder makes its parent newer.
  mkdirSync(join(ROOT, 'backends/dgram-native/dist'), { recursive: true });
  // The stamp gets this time: a file that changes during the build is newer, and is built the next time.
  const start = new Date();
  for (const words of BUILD) {
    const failure = run(process.execPath, words, BUILD_MS);
    if (failure !== undefined) throw new Error(`the build failed:\n${failure}`);
  }
  writeFileSync(STAMP, '');
  utimesSync(STAMP, start, start);
}

/**
 * Newest modification in a file or a tree, in milliseconds. Folders count too, because they show deleted files.
 *
 * @param {string} path
 * @returns {number}
 */
function newest(path) {
  const own = statSync(path, { throwIfNoEntry: false });
  if (own === undefined) return 0;
  if (!own.isDirectory()) return own.mtimeMs;
  const names = readdirSync(path).filter((name) => !OUTPUT.includes(name));
  return Math.max(own.mtimeMs, ...names.map((name) => newest(join(path, name))));
}

/** @param {string} path */
function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/**
 * Runs a program in the project's folder. Returns its output if it failed; undefined: it succeeded.
 *
 * @param {string} file
 * @param {readonly string[]} args
 * @param {number} timeout Milliseconds.
 * @returns {string | undefined}
 */
function run(file, args, timeout) {
  const { status, error, stdout, stderr } = spawnSync(file, args, {
    cwd: ROOT,
    encoding: 'utf8',
    timeout,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status === 0) return undefined;
  const printed = `${stdout ?? ''}\n${stderr ?? ''}`.trim();
  return error === undefined ? printed : `${error.message}\n${printed}`.trim();
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`setup: ${line}\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await setUp(ALL_PROGRAMS);
  } catch (error) {
    process.stderr.write(`setup: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

// Programs of other Debian releases than the machine's own. Their packages are unpacked once, into a cache folder that
// all checkouts share. Nothing is installed: no script of a package runs, and no service starts. A root that cannot be
// filled leaves a note with the reason.
//
// apt checks the signatures of the release. Its lists, its state and its cache are a temporary folder.
import { createHash } from 'node:crypto';
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../agent/base/clock.ts';
import { messageOf } from '../../../agent/base/errors.ts';
import { exec } from '../../../agent/base/exec.ts';
import { run } from '../namespace.ts';

export interface DebianRoot {
  /** What it is for: `docker`. */
  readonly name: string;
  /** Debian 12, 13, or the release in the making. */
  readonly suite: 'bookworm' | 'trixie' | 'sid';
  readonly packages: readonly string[];
  /**
   * Whether the dependencies are unpacked as well, the C library among them. Such a root can be changed into (chroot).
   * Programs of another root run beside the libraries of the machine.
   */
  readonly isWhole: boolean;
  /**
   * Packages that wait in the root's folder `REPOSITORY` with those that they need: its own apt can install them, as it
   * would from a mirror. Default: none.
   */
  readonly offered?: readonly string[];
}

/** A folder of a root that its apt knows as a repository. */
const REPOSITORY = '/srv/debs';

const UPDATE_MS = 120_000;
const DOWNLOAD_MS = 300_000;
const UNPACK_MS = 60_000;
/** A root that could not be filled is tried again after this time. */
const RETRY_MS = 3_600_000;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Where `/bin` and the like lead on a current Debian. No package has these links but base-files. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];

/** The folder of the unpacked packages. */
export function engineCacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twill', 'engines');
}

/** The folder of a root, which exists if it was filled. Its name changes with the list of packages. */
export function rootFolder(root: DebianRoot): string {
  const digest = createHash('sha256')
    .update(
      JSON.stringify([root.packages, root.isWhole, ...(root.offered === undefined ? [] : [root.offered])]),
    )
    .digest('hex');
  return join(engineCacheFolder(), `${root.name}-${root.suite}-${digest.slice(0, 8)}`);
}

/** Why a root cannot be used, on one line; undefined: it is filled. */
export async function rootFailure(root: DebianRoot): Promise<string | undefined> {
  if ((await modifiedMs(rootFolder(root))) !== undefined) return undefined;
  return readFile(noteOf(root), 'utf8').catch(() => 'they were not downloaded');
}

/** Fills a root that is missing. `say` is given a line before, and one about a failure, which leaves its note. */
export async function fillRoot(root: DebianRoot, say: (line: string) => void): Promise<void> {
  if ((await modifiedMs(rootFolder(root))) !== undefined) return;
  const failedMs = await modifiedMs(noteOf(root));
  if (failedMs !== undefined && systemClock.wallMs() - failedMs < RETRY_MS) return;
  say(`unpacking ${root.name} of Debian ${root.suite}, once`);
  await mkdir(engineCacheFolder(), { recursive: true });
  await removeAbandoned();
  try {
    await fill(root);
    await rm(noteOf(root), { force: true });
  } catch (error) {
    // Another process may have filled it meanwhile.
    if ((await modifiedMs(rootFolder(root))) !== undefined) return;
    // The last line of apt's output names the reason.
    const reason = (messageOf(error).trim().split('\n').at(-1) ?? '').slice(-200);
    await writeFile(noteOf(root), reason);
    say(`cannot unpack ${root.name} of Debian ${root.suite}: ${reason}`);
  }
}

function noteOf(root: DebianRoot): string {
  return `${rootFolder(root)}.failed`;
}

async function fill(root: DebianRoot): Promise<void> {
  const { suite, packages, isWhole, offered } = root;
  const mirror = await debianMirror();
  const folder = await mkdtemp(join(engineCacheFolder(), '.fill-'));
  try {
    const debs = join(folder, 'cache/archives');
    const unpacked = join(folder, 'root');
    for (const made of ['lists/partial', 'cache/archives/partial', 'root'])
      await mkdir(join(folder, made), { recursive: true });
    await writeFile(join(folder, 'status'), '');
    await writeFile(join(folder, 'sources.list'), `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`);
    await apt(folder, ['update'], UPDATE_MS);
    const install = ['install', '--download-only', '-y', '--no-install-recommends'];
    await apt(folder, [...(isWhole ? install : ['download']), ...packages], DOWNLOAD_MS, debs);
    if (isWhole) for (const name of MERGED) await linkMerged(unpacked, name);
    const files = (await readdir(debs))
      .filter((name) => name.endsWith('.deb'))
      .map((name) => join(debs, name));
    for (const file of files) await run(['dpkg-deb', '--extract', file, unpacked], { timeoutMs: UNPACK_MS });
    if (isWhole) await writeStatus(unpacked, files);
    if (offered !== undefined) {
      for (const file of files) await rm(file);
      await cp(join(unpacked, 'var/lib/dpkg/status'), join(folder, 'status'));
      await apt(folder, [...install, ...offered], DOWNLOAD_MS);
      await writeRepository(unpacked, debs);
    }
    await rename(unpacked, rootFolder(root));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// dpkg's list of packages, by which it checks the dependencies of another one.
async function writeStatus(root: string, files: readonly string[]): Promise<void> {
  const fields = await Promise.all(files.map((file) => run(['dpkg-deb', '--field', file])));
  const folder = join(root, 'var/lib/dpkg');
  await mkdir(join(folder, 'info'), { recursive: true });
  await mkdir(join(folder, 'updates'), { recursive: true });
  await writeFile(
    join(folder, 'status'),
    fields.map((text) => `${text.trim()}\nStatus: install ok installed\n`).join('\n'),
  );
}

// Its list of packages, by which apt knows their needs and checks their bytes.
async function writeRepository(root: string, debs: string): Promise<void> {
  const folder = join(root, REPOSITORY);
  await mkdir(folder, { recursive: true });
  const entries: string[] = [];
  for (const name of (await readdir(debs)).filter((each) => each.endsWith('.deb'))) {
    const bytes = await readFile(join(debs, name));
    const fields = await run(['dpkg-deb', '--field', join(debs, name)]);
    const digest = createHash('sha256').update(bytes).digest('hex');
    entries.push(`${fields.trim()}\nFilename: ./${name}\nSize: ${bytes.length}\nSHA256: ${digest}\n`);
    await writeFile(join(folder, name), bytes);
  }
  await writeFile(join(folder, 'Packages'), entries.join('\n'));
  await mkdir(join(root, 'etc/apt'), { recursive: true });
  await writeFile(join(root, 'etc/apt/sources.list'), `deb [trusted=yes] file:${REPOSITORY} ./\n`);
}

/** Removes the folders of runs that were killed. */
async function removeAbandoned(): Promise<void> {
  for (const name of (await readdir(engineCacheFolder())).filter((each) => each.startsWith('.fill-'))) {
    const folder = join(engineCacheFolder(), name);
    const madeMs = (await modifiedMs(folder)) ?? Infinity;
    if (systemClock.wallMs() - madeMs > RETRY_MS) await rm(folder, { recursive: true, force: true });
  }
}

async function linkMerged(root: string, name: string): Promise<void> {
  await mkdir(join(root, 'usr', name), { recursive: true });
  await symlink(join('usr', name), join(root, name));
}

// The machine's settings of apt stay in force, such as a proxy, but for its sources, pins and packages. `download`
// writes into the folder that it is started in.
async function apt(
  folder: string,
  words: readonly string[],
  timeoutMs: number,
  startedIn = folder,
): Promise<void> {
  const settings = [
    `Dir::State=${folder}`,
    `Dir::State::Lists=${join(folder, 'lists')}`,
    `Dir::State::status=${join(folder, 'status')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    `Dir::Etc::sourcelist=${join(folder, 'sources.list')}`,
    'Dir::Etc::sourceparts=/dev/null',
    'Dir::Etc::preferences=/dev/null',
    'Dir::Etc::preferencesparts=/dev/null',
    // Its own user could not read the folder.
    'APT::Sandbox::User=root',
    // By default a failed update succeeds.
    'APT::Update::Error-Mode=any',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=20',
    'Acquire::Languages=none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
  ];
  const options = settings.flatMap((setting) => ['-o', setting]);
  const argv = ['-C', startedIn, 'apt-get', '-qq', ...options, ...words];
  const result = await exec('env', argv, { timeoutMs, env: { ...process.env, LC_ALL: 'C' } });
  if (result.exitCode !== 0)
    throw new Error(result.stderr.trim() || `exit code ${result.exitCode} of apt-get`);
}

/** The mirror from which the machine takes its own packages. */
async function debianMirror(): Promise<string> {
  const format = '$(COMPONENT) $(REPO_URI)';
  const text = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages']);
  const mirrors = text.split('\n').map((line) => /^main (\S+\/debian\/?)$/.exec(line)?.[1]);
  const mirror = mirrors.find((found) => found !== undefined);
  if (mirror === undefined) throw new Error('apt of this machine knows no mirror of Debian');
  return mirror;
}

async function modifiedMs(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
}

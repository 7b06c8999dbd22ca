// Programs that the suites run beside the installed ones. Each is built once from its Go module, into a cache folder
// that all checkouts share. A program that cannot be built leaves a note with the reason there.
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { messageOf } from '../../agent/base/errors.ts';
import { run } from './namespace.ts';

export interface GoProgram {
  /** For messages: `etcd 3.6.16`. */
  readonly title: string;
  /** Its file in the cache, which exists if it was built. */
  readonly path: string;
  /** Makes a Go module in an empty folder, and returns the folder from which to build. */
  readonly makeModule: (folder: string) => Promise<string>;
  /** The import path of its main package. Default: the package in that folder. */
  readonly mainPackage?: string;
  /** Further flags of `go build`. */
  readonly flags: readonly string[];
  /** Whether it holds C code. */
  readonly cgo: boolean;
  /** Longest time of the build. Default: 8 minutes. */
  readonly limitMs?: number;
}

const BUILD_LIMIT_MS = 8 * 60_000;
/** A failed build is tried again after this time. */
const RETRY_MS = 24 * 3_600_000;

/** A folder of the cache. */
export function goCacheFolder(name: string): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twill', name);
}

/** Why a program was not built, on one line; undefined: there is no note. */
export async function buildFailure(program: GoProgram): Promise<string | undefined> {
  return readFile(noteOf(program), 'utf8').catch(() => undefined);
}

function noteOf({ path }: GoProgram): string {
  return `${path}.failed`;
}

/** Builds the program if it is missing. `say` is given a line before. A failure leaves its note. */
export async function buildOnce(program: GoProgram, say: (line: string) => void): Promise<void> {
  const { title, path } = program;
  if ((await modifiedMs(path)) !== undefined) return;
  const failedMs = await modifiedMs(noteOf(program));
  if (failedMs !== undefined && systemClock.wallMs() - failedMs < RETRY_MS) return;
  say(`building ${title} for the tests, once`);
  try {
    await build(program);
    await rm(noteOf(program), { force: true });
  } catch (error) {
    // The last line of Go's output names the reason.
    const reason = messageOf(error).slice(-200);
    await writeFile(noteOf(program), reason);
    say(`cannot build ${title}: ${reason}`);
  }
}

async function build(program: GoProgram): Promise<void> {
  const { path, makeModule, mainPackage = '.', flags, cgo, limitMs = BUILD_LIMIT_MS } = program;
  await mkdir(dirname(path), { recursive: true });
  const folder = await mkdtemp(join(dirname(path), '.build-'));
  try {
    const output = join(folder, 'program');
    const made = join(folder, 'module');
    await mkdir(made);
    const env = goEnvironment(cgo);
    const words = ['-trimpath', '-buildvcs=false', ...flags, '-o', output, mainPackage];
    await run(['go', '-C', await makeModule(made), 'build', ...words], { timeoutMs: limitMs, env });
    await rename(output, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The variables of `go`: the installed one, and modules as their main module wants them. */
export function goEnvironment(cgo = false): NodeJS.ProcessEnv {
  const own = { CGO_ENABLED: cgo ? '1' : '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOWORK: 'off' };
  return { ...process.env, ...own };
}

async function modifiedMs(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
}

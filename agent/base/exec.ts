// The one door to other programs. No shell is involved: a program gets its arguments and its input as they are. Of our
// environment, which may hold passwords, it gets the few variables that it needs.
import { type ChildProcess, spawn } from 'node:child_process';
import { deadline } from './clock.ts';
import { errnoOf, messageOf, TwillError } from './errors.ts';

/** Options of one run of a program. */
export interface ExecOptions {
  /** Text for its standard input. Default: none. */
  readonly input?: string;
  /** The program is killed after this time. Default: 10,000. */
  readonly timeoutMs?: number;
  /** The program is killed when it prints more than this. Default: 33,554,432. */
  readonly outputBytes?: number;
  /** Variables of its environment, beside those that every program gets. Default: none. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
}

/** Result of a program that ran to its end. */
export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The signature of `exec`. Tests and the lab pass their own. */
export type Exec = typeof exec;

const MIB = 1024 * 1024;
const MAX_OUTPUT_BYTES = 32 * MIB;
const TOO_MUCH = { errno: 'EFBIG' } as const;
const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** iptables reads them: an operator may share its lock with another root file system. */
const PASSED_ON = ['XTABLES_LOCKFILE', 'XTABLES_LIBDIR'] as const;

/**
 * Runs a program to its end and returns its exit code and output. A non-zero exit code is no failure.
 *
 * Fails as `host` when the program is missing (errno ENOENT), cannot be started, exceeds its time or prints too much
 * (errno EFBIG).
 */
export async function exec(
  file: string,
  args: readonly string[],
  options: ExecOptions = {},
): Promise<ExecResult> {
  const what = [file, ...args].join(' ');
  const env = { ...environmentOfPrograms(), ...options.env };
  const outputBytes = options.outputBytes ?? MAX_OUTPUT_BYTES;
  using limit = deadline(options.signal, options.timeoutMs ?? 10_000, what);
  return await new Promise((resolve, reject) => {
    const refuse = (cause: unknown): void => {
      const reported = errnoOf(cause);
      // The system says EACCES for a missing program if PATH has a folder that we may not read.
      const errno = reported === 'EACCES' && !file.includes('/') ? 'ENOENT' : reported;
      const why = errno === 'ENOENT' ? 'not found in PATH' : messageOf(cause);
      const details = { cause, ...(errno === undefined ? {} : { errno }) };
      reject(new TwillError('host', `cannot run ${file}: ${why}`, details));
    };
    let child: ChildProcess;
    try {
      limit.throwIfAborted();
      child = spawn(file, args, { stdio: 'pipe', shell: false, env, cwd: '/' });
    } catch (error) {
      // An impossible argument, such as one with a zero byte.
      refuse(error);
      return;
    }
    child.on('error', refuse);
    const { stdin, stdout: out, stderr: err } = child;
    // Without a free file descriptor there are no streams, and the error follows.
    if (!stdin || !out || !err) return;
    // A child of the program may hold the pipes open for ever. We do not wait for it.
    const giveUp = (error: TwillError): void => {
      child.kill('SIGKILL');
      out.destroy();
      err.destroy();
      reject(error);
    };
    const stop = (): void => {
      if (options.signal?.aborted === true) refuse(limit.reason);
      giveUp(new TwillError('host', messageOf(limit.reason), { cause: limit.reason }));
    };
    limit.addEventListener('abort', stop, { once: true });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let bytes = 0;
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= outputBytes) into.push(chunk);
      else giveUp(new TwillError('host', `${what}: printed more than ${outputBytes / MIB} MiB`, TOO_MUCH));
    };
    out.on('data', collect(stdout));
    err.on('data', collect(stderr));
    child.on('close', (exitCode, signal) => {
      limit.removeEventListener('abort', stop);
      if (exitCode === null) {
        reject(new TwillError('host', `${what}: ended by ${signal}`));
        return;
      }
      const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString();
      resolve({ exitCode, stdout: text(stdout), stderr: text(stderr) });
    });
    // A program may exit without reading its input. The broken pipe is no error of ours.
    stdin.on('error', () => undefined);
    stdin.end(options.input ?? '');
  });
}

// A relative folder of PATH would be looked up in a folder that others may write.
function environmentOfPrograms(): Record<string, string> {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/'));
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { PATH: folders.join(':') || USUAL_PATH, LC_ALL: 'C', ...Object.fromEntries(passedOn) };
}

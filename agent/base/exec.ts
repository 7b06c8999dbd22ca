// The one door to other programs. Never a shell: a program, its arguments, and its input.
import { spawn } from 'node:child_process';
import { errnoOf, messageOf, TwillError } from './errors.ts';

/** How a program is run. */
export interface ExecOptions {
  /** Text for its standard input; default none. */
  readonly input?: string;
  /** It is killed after this many milliseconds; default 10,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What a program that ran to its end left behind. */
export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The signature of `exec`, for those who are given one: another prefix, another machine, a test's own answers. */
export type Exec = typeof exec;

const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;

/**
 * Runs a program to its end and gives its exit code and output, whatever the code is.
 *
 * Fails as `host` when the program is missing (errno ENOENT), cannot be started, exceeds its time or prints
 * more than 32 MiB.
 */
export function exec(file: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let bytes = 0;
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_OUTPUT_BYTES) child.kill('SIGKILL');
      else into.push(chunk);
    };
    child.stdout.on('data', collect(stdout));
    child.stderr.on('data', collect(stderr));
    child.on('error', (error) => {
      const errno = errnoOf(error);
      const why = errno === 'ENOENT' ? 'not found in PATH' : messageOf(error);
      reject(
        new TwillError('host', `cannot run ${file}: ${why}`, {
          cause: error,
          ...(errno === undefined ? {} : { errno }),
        }),
      );
    });
    child.on('close', (exitCode, signal) => {
      const text = Buffer.concat(stderr).toString();
      if (exitCode === null) {
        reject(
          new TwillError('host', `${file} ${args.join(' ')} was ended by ${signal} (limit ${timeoutMs} ms)`),
        );
        return;
      }
      resolve({ exitCode, stdout: Buffer.concat(stdout).toString(), stderr: text });
    });
    // A program that exits without reading its input closes the pipe: that is its right, not our error.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

// Runs the programs of the firewalls (iptables-save, iptables-restore, nft) and turns their failures into one line with
// a hint.
import { errnoOf, TwillError } from '../base/errors.ts';
import type { Exec, ExecResult } from '../base/exec.ts';
import { LIMITS } from './limits.ts';

/** One run of a program. */
export interface ProgramRun {
  /** Start of the message of a failure: `cannot read the iptables rules`. */
  readonly purpose: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Name of the distribution's package with the program. */
  readonly packageName: string;
  readonly input?: string;
  /** The program is killed when it prints more. Default: that of `exec`. */
  readonly outputBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program to its end and returns its result. A non-zero exit code is no failure. Fails as `host` when the
 * program cannot be run.
 */
export async function runProgram(exec: Exec, run: ProgramRun): Promise<ExecResult> {
  try {
    return await exec(run.file, run.args, {
      timeoutMs: LIMITS.firewallCommandMs,
      ...(run.input === undefined ? {} : { input: run.input }),
      ...(run.outputBytes === undefined ? {} : { outputBytes: run.outputBytes }),
      ...(run.signal === undefined ? {} : { signal: run.signal }),
    });
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    throw new TwillError('host', `${run.purpose}: ${run.file} is not installed`, {
      hint: `install the package ${run.packageName}`,
      errno: 'ENOENT',
      cause: error,
    });
  }
}

/** Like `runProgram`, but returns the standard output, and also fails as `host` when the exit code is not 0. */
export async function runToSuccess(exec: Exec, run: ProgramRun): Promise<string> {
  const result = await runProgram(exec, run);
  if (result.exitCode !== 0) throw failureOf(run, result);
  return result.stdout;
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/must be root|not permitted|permission denied/i, 'run as root, or with the capability CAP_NET_ADMIN'],
  [/xtables lock/i, 'find the program that holds /run/xtables.lock'],
  [
    /table does not exist|do you need to insmod|not supported|incompatible/i,
    'the kernel or its current rules refuse this firewall; choose the other one by "EnableNFTables" of the network',
  ],
];

/**
 * The error for a program that ran and failed: the first line of its stderr, and a hint if there is one.
 */
export function failureOf(run: ProgramRun, result: ExecResult): TwillError {
  const complaint = complaintOf(result);
  const hint = HINTS.find(([pattern]) => pattern.test(complaint))?.[1];
  const details = hint === undefined ? {} : { hint };
  return new TwillError('host', `${run.purpose}: ${run.file}: ${complaint}`, details);
}

/** The first line of a failed program's stderr; without one its exit code. */
export function complaintOf({ stderr, exitCode }: ExecResult): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const complaint = lines.find((line) => line !== '' && !line.startsWith('#')) ?? `exit code ${exitCode}`;
  return complaint.slice(0, 300);
}

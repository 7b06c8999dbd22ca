// Runs the firewalls' own programs (iptables-save, iptables-restore, nft) and turns their complaints into one
// line with what the operator can do about it.
import { errnoOf, TwillError } from '../base/errors.ts';
import type { Exec, ExecResult } from '../base/exec.ts';
import { LIMITS } from './limits.ts';

/** One run of a program. */
export interface ProgramRun {
  /** What it is run for; starts the message of a failure: `cannot read the iptables rules`. */
  readonly purpose: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Name of the distributions' package that has the program. */
  readonly packageName: string;
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a program to its end and gives its result, whatever its exit code. Fails as `host` when it cannot be
 * run.
 */
export async function runProgram(exec: Exec, run: ProgramRun): Promise<ExecResult> {
  try {
    return await exec(run.file, run.args, {
      timeoutMs: LIMITS.firewallCommandMs,
      ...(run.input === undefined ? {} : { input: run.input }),
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

/** Like `runProgram`, but gives the standard output, and fails as `host` too when the exit code is not 0. */
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
    'the kernel or its present rules refuse this firewall; the network\'s "EnableNFTables" chooses the other one',
  ],
];

/**
 * The error for a program that ran and failed: the first line of its complaint, and a hint where we know one.
 */
export function failureOf(run: ProgramRun, result: ExecResult): TwillError {
  const lines = result.stderr.split('\n').map((line) => line.trim());
  const complaint =
    lines.find((line) => line !== '' && !line.startsWith('#')) ?? `exit code ${result.exitCode}`;
  const hint = HINTS.find(([pattern]) => pattern.test(complaint))?.[1];
  const details = hint === undefined ? {} : { hint };
  return new TwillError('host', `${run.purpose}: ${run.file}: ${complaint.slice(0, 300)}`, details);
}

// One class for all operating errors. An outcome that callers expect (a lost race, a missing key) is a value instead. A
// programmer's mistake is a plain Error and ends as `internal`.
import { getSystemErrorMap } from 'node:util';

/**
 * Kind of an operating error. It decides the exit code of the process, so two kinds name things of the domain
 * (`exhausted`, `conflict`), as nothing else in base/ does.
 *
 * - `usage`: the command line or the environment
 * - `config`: the network configuration in the datastore
 * - `datastore`: the datastore cannot be reached, refuses us, or fails
 * - `host`: this machine: interfaces, permissions, missing programs, the kernel's refusals, files
 * - `exhausted`: no free subnet is left in the network
 * - `conflict`: another live host holds what we need
 * - `unready`: the node that was asked about is not ready
 * - `absent`: no agent runs
 * - `internal`: a bug in this program
 */
export type ErrorCode =
  | 'usage'
  | 'config'
  | 'datastore'
  | 'host'
  | 'exhausted'
  | 'conflict'
  | 'unready'
  | 'absent'
  | 'internal';

/** Exit code of the process for each kind of error; 0 is success and 1 a bug. Documented in the README. */
export const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  internal: 1,
  usage: 2,
  config: 3,
  datastore: 4,
  host: 5,
  exhausted: 6,
  conflict: 7,
  unready: 8,
  absent: 9,
};

/** Details of an error beside its message. */
export interface ErrorDetails {
  /** An instruction: how the operator can fix it. */
  readonly hint?: string;
  /** Name of the system call's error (`ENETUNREACH`), if there was one. */
  readonly errno?: string;
  readonly cause?: unknown;
}

/** An operating error. Its message names the attempt, with the value; its hint says how to fix it. */
export class TwillError extends Error {
  override readonly name = 'TwillError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly errno: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.errno = details.errno;
  }
}

/** The message of anything thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.replaceAll(/\s*\n\s*/g, ' ').trim();
}

/** The message of anything thrown. A system error in words, without the call: `permission denied (EACCES)`. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error && 'errno' in thrown && typeof thrown.errno === 'number') {
    const [name, words] = getSystemErrorMap().get(thrown.errno) ?? [];
    if (name !== undefined) return `${words} (${name})`;
  }
  return messageOf(thrown);
}

/** The message of an error and its hint, on one line. */
export function withHint(error: TwillError): string {
  const message = messageOf(error);
  return error.hint === undefined ? message : `${message}; ${error.hint}`;
}

/** Name of the system error in anything thrown (`ENOENT`), or undefined. */
export function errnoOf(thrown: unknown): string | undefined {
  if (thrown instanceof TwillError) return thrown.errno;
  if (thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return undefined;
}

/** Turns anything thrown into an operating error of the given kind. A TwillError passes unchanged. */
export function asTwillError(thrown: unknown, code: ErrorCode, what: string, hint?: string): TwillError {
  if (thrown instanceof TwillError) return thrown;
  const errno = errnoOf(thrown);
  return new TwillError(code, `${what}: ${messageOf(thrown)}`, {
    cause: thrown,
    ...(hint === undefined ? {} : { hint }),
    ...(errno === undefined ? {} : { errno }),
  });
}

// The errors of calls that open and set up. Calls that move packets give minus the errno instead, so that nothing is
// allocated for a refusal.
import { constants } from 'node:os';

// Some numbers have two names (EAGAIN and EWOULDBLOCK); the first one listed is the usual one. Node lacks the errno of
// a TUN device that was deleted under its user.
const NAMES = new Map<number, string>([[77, 'EBADFD']]);
for (const [name, value] of Object.entries(constants.errno)) {
  if (!NAMES.has(value)) NAMES.set(value, name);
}

/** Name of an errno: `EMSGSIZE` for 90. Where it has no name, its number: `E123`. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

/** A system call that the kernel refused. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  /** The system call, with its request where there are many: `bind`, `ioctl TUNSETIFF`. */
  readonly syscall: string;
  /** Name of the errno; the property has the name that Node's own errors use. */
  readonly code: string;
  /** The errno as a positive number. */
  readonly errno: number;

  constructor(syscall: string, errno: number, what: string) {
    const code = errnoName(errno);
    super(`${what}: ${syscall}: ${code}`);
    this.syscall = syscall;
    this.code = code;
    this.errno = errno;
  }
}

/** This machine cannot run the package at all: another system, another processor, no binary for it. */
export class UnsupportedError extends Error {
  override readonly name = 'UnsupportedError';
}

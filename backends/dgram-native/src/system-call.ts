// System calls that open and set up; they throw. The functions that move packets have loops of their own.
import { SystemError } from './errors.ts';
import { libc } from './libc.ts';
import { EINTR } from './numbers.ts';

/** Repeats a system call until no signal interrupts it. Throws a SystemError whose message begins with `what`. */
export function invoke(syscall: string, what: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = libc().errno();
    if (errno !== EINTR) throw new SystemError(syscall, errno, what);
  }
}

/** A few bytes at a known address, for the arguments and results of one call. */
export interface Scratch {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly address: bigint;
}

const SCRATCH_BYTES = 128;
let shared: Scratch | undefined;

/**
 * The thread's scratch bytes, all 0. It is always the same block: an address keeps nothing alive, so a block for one
 * call could be collected between the taking and the use of its address.
 */
export function scratch(): Scratch {
  shared ??= createScratch();
  shared.u8.fill(0);
  return shared;
}

// An ArrayBuffer of its own, because the bytes of a small typed array may move.
function createScratch(): Scratch {
  const buffer = new ArrayBuffer(SCRATCH_BYTES);
  const u8 = new Uint8Array(buffer);
  return {
    u8,
    u16: new Uint16Array(buffer),
    u32: new Uint32Array(buffer),
    i32: new Int32Array(buffer),
    address: libc().addressOf(u8),
  };
}

/** A file descriptor that is closed at most once: afterwards the kernel gives its number to another. */
export class Descriptor implements Disposable {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** -1 once it is closed. */
  get fd(): number {
    return this.#fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    // The descriptor is gone even where this fails. A second close could hit another one of the same number.
    libc().close(fd);
  }
}

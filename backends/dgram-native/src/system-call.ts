// System calls that open and set things up: they throw. Those that move packets have their own loops.
import { SystemError } from './errors.ts';
import { libc } from './libc.ts';
import { EINTR } from './numbers.ts';

/** Makes a system call until no signal interrupts it. Throws a SystemError that begins with `what` was tried. */
export function invoke(syscall: string, what: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = libc().errno();
    if (errno !== EINTR) throw new SystemError(syscall, errno, what);
  }
}

/** A few bytes at a known address, for what one call takes or gives. */
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
 * The thread's scratch bytes, all 0. One block for ever, because an address keeps nothing alive: a block of the
 * call's own could be collected between taking its address and using it.
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

/** A file descriptor that is closed once, so that the number, which the kernel gives out again, is not. */
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
    // Whatever it says, the descriptor is gone: asking again could close another's.
    libc().close(fd);
  }
}

// Waits for descriptors. It blocks its thread, and with it everything else that the thread has to do: timers,
// promises, and the handlers of signals. So it belongs into a thread of its own, with a wakeup among the descriptors.
import { addressOfArena } from './arena.ts';
import type { Arena, Poller } from './contract.ts';
import { SystemError } from './errors.ts';
import { POLL } from './layout.ts';
import { type Libc, libc } from './libc.ts';
import { EINTR, POLLERR_HUP_NVAL, POLLIN } from './numbers.ts';

/** As many as there are bits in a mask that is not negative. */
const MAX_DESCRIPTORS = 31;
/** The longest that poll takes, 24 days. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Makes a poller for 1 to 31 descriptors, with its table in the arena. Of one thread. */
export function createPoller(arena: Arena, fds: readonly number[]): Poller {
  if (fds.length === 0 || fds.length > MAX_DESCRIPTORS) {
    throw new RangeError(`a poller has 1 to ${MAX_DESCRIPTORS} descriptors, not ${fds.length}`);
  }
  return new KernelPoller(arena, fds);
}

class KernelPoller implements Poller {
  readonly #arena: Arena;
  readonly #libc: Libc;
  readonly #table: bigint;
  readonly #tableAt: number;
  readonly #count: number;
  #failed = 0;

  constructor(arena: Arena, fds: readonly number[]) {
    this.#arena = arena;
    this.#libc = libc();
    this.#count = fds.length;
    this.#tableAt = arena.reserve(fds.length * POLL.bytes);
    this.#table = addressOfArena(arena).base + BigInt(this.#tableAt);
    for (const [i, fd] of fds.entries()) {
      const entry = this.#tableAt + i * POLL.bytes;
      arena.u32[(entry + POLL.fd) >>> 2] = fd;
      arena.u16[(entry + POLL.wanted) >>> 1] = POLLIN;
    }
  }

  get failed(): number {
    return this.#failed;
  }

  wait(timeoutMs: number): number {
    // For ever is every number below 0; a part of a millisecond is waited for, not spun through.
    const whole = timeoutMs < 0 ? -1 : Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT_MS);
    const endMs = whole > 0 ? performance.now() + whole : 0;
    let restMs = whole;
    for (;;) {
      const ready = this.#libc.poll(this.#table, this.#count, restMs);
      if (ready >= 0) return this.#readMasks();
      const errno = this.#libc.errno();
      if (errno !== EINTR) throw new SystemError('poll', errno, 'cannot wait for descriptors');
      if (whole > 0) restMs = Math.max(0, Math.ceil(endMs - performance.now()));
    }
  }

  #readMasks(): number {
    const { u16 } = this.#arena;
    let readable = 0;
    let failed = 0;
    for (let i = 0; i < this.#count; i += 1) {
      const happened = u16[(this.#tableAt + i * POLL.bytes + POLL.happened) >>> 1] as number;
      if ((happened & POLLIN) !== 0) readable |= 1 << i;
      if ((happened & POLLERR_HUP_NVAL) !== 0) failed |= 1 << i;
    }
    this.#failed = failed;
    return readable;
  }
}

// Waits for descriptors. Waiting blocks the thread, and with it everything else that the thread has to do: timers,
// promises and the handlers of signals. So it belongs in a thread of its own, with a wakeup among the descriptors.
import { addressOfArena, arenaBytes } from './arena.ts';
import type { Arena, Poller } from './contract.ts';
import { SystemError } from './errors.ts';
import { POLL } from './layout.ts';
import { libc } from './libc.ts';
import { EINTR, POLLERR_HUP_NVAL, POLLIN } from './numbers.ts';

/** A mask that is not negative has as many bits. */
const MAX_DESCRIPTORS = 31;
/** Longest time that poll takes: 24 days. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Bytes of the arena that a poller reserves. */
export function pollerBytes(descriptors: number): number {
  return arenaBytes(descriptors * POLL.bytes);
}

/** Makes a poller for 1 to 31 descriptors, with `pollerBytes` of the arena. It belongs to one thread. */
export function createPoller(arena: Arena, fds: readonly number[]): Poller {
  if (fds.length === 0 || fds.length > MAX_DESCRIPTORS) {
    throw new RangeError(`a poller has 1 to ${MAX_DESCRIPTORS} descriptors, not ${fds.length}`);
  }
  const { u16, u32 } = arena;
  const { poll, errno: lastErrno } = libc();
  const count = fds.length;
  const tableAt = arena.reserve(count * POLL.bytes);
  const table = addressOfArena(arena).base + BigInt(tableAt);
  for (const [i, fd] of fds.entries()) {
    const entry = tableAt + i * POLL.bytes;
    u32[(entry + POLL.fd) >>> 2] = fd;
    u16[(entry + POLL.wanted) >>> 1] = POLLIN;
  }

  const maskOf = (events: number): number => {
    let mask = 0;
    for (let i = 0; i < count; i += 1) {
      const happened = u16[(tableAt + i * POLL.bytes + POLL.happened) >>> 1] as number;
      if ((happened & events) !== 0) mask |= 1 << i;
    }
    return mask;
  };

  const poller = {
    failed: 0,
    wait(timeoutMs: number): number {
      // Every number below 0 means without end. Parts of a millisecond are rounded up: poll would not wait for them.
      const wholeMs = timeoutMs < 0 ? -1 : Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT_MS);
      const endMs = wholeMs > 0 ? performance.now() + wholeMs : 0;
      let restMs = wholeMs;
      while (poll(table, count, restMs) < 0) {
        const errno = lastErrno();
        if (errno !== EINTR) throw new SystemError('poll', errno, 'cannot wait for descriptors');
        if (wholeMs > 0) restMs = Math.max(0, Math.ceil(endMs - performance.now()));
      }
      poller.failed = maskOf(POLLERR_HUP_NVAL);
      return maskOf(POLLIN);
    },
  };
  return poller;
}

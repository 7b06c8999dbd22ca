// The largest datagram on the path to a peer, for the few peers whose path takes less than our own link. It is learnt
// when the kernel refuses a datagram, and forgotten after a while, as paths also become wider.
//
// The kernel refuses a datagram that its own link does not take. Its answer for the whole path may come from an ICMP
// error that somebody forged. So an unlikely answer counts only where the kernel has refused so small a datagram.
import { LIMITS } from './limits.ts';

export interface PathLimits {
  /** Whether no limit is known at all. That is the usual case, in which no packet has to ask for more. */
  isEmpty(): boolean;
  /** Largest datagram payload to an address, in bytes; undefined: no limit known. */
  limitOf(address: number): number | undefined;
  /**
   * Asks the kernel, which has refused a datagram of `refusedBytes`, and remembers its answer. Undefined where the
   * kernel knows nothing.
   */
  learn(address: number, refusedBytes: number): number | undefined;
}

interface Limit {
  readonly bytes: number;
  readonly learntMs: number;
}

/** `ask` asks the kernel; `nowMs` is a clock that does not go back. */
export function createPathLimits(
  ask: (address: number) => number | undefined,
  nowMs: () => number,
): PathLimits {
  const limits = new Map<number, Limit>();
  const learn = (address: number, refusedBytes: number): number | undefined => {
    limits.delete(address);
    const answer = ask(address);
    if (answer === undefined) return undefined;
    const bytes = refusedBytes > LIMITS.pathFloorBytes ? Math.max(answer, LIMITS.pathFloorBytes) : answer;
    limits.set(address, { bytes, learntMs: nowMs() });
    // The oldest goes first.
    for (const known of limits.keys()) {
      if (limits.size <= LIMITS.pathLimits) break;
      limits.delete(known);
    }
    return bytes;
  };
  return {
    isEmpty: () => limits.size === 0,
    limitOf(address) {
      const known = limits.get(address);
      if (known === undefined) return undefined;
      if (nowMs() - known.learntMs < LIMITS.pathLimitMs) return known.bytes;
      limits.delete(address);
      return undefined;
    },
    learn,
  };
}

// Tracks calls that have not returned yet, so that a call that hangs is noticed while its caller waits.
import type { Clock } from '../base/clock.ts';
import type { Condition } from '../model/condition.ts';

export interface Watchdog {
  /**
   * Runs `work` and tracks it under a name such as `reading the kernel` until it settles. The work ends by itself
   * within `boundMs`. Default: it may wait for ever.
   */
  during<T>(what: string, work: () => Promise<T>, boundMs?: number): Promise<T>;
  /** The oldest call that has taken longer than this, as a condition; empty: there is none. */
  conditions(limitMs: number): readonly Condition[];
  /** The oldest call that has taken longer than this and than its bound, in one line; undefined: there is none. */
  hang(limitMs: number): string | undefined;
}

interface Call {
  readonly what: string;
  readonly sinceMs: number;
  readonly boundMs: number;
}

export function createWatchdog(clock: Clock): Watchdog {
  // In the order of their start.
  const calls = new Set<Call>();
  const longest = (limitOf: (call: Call) => number): Condition | undefined => {
    for (const call of calls) {
      const { what, sinceMs } = call;
      const tookMs = clock.monotonicMs() - sinceMs;
      if (tookMs <= limitOf(call)) continue;
      const reason = `${what}: not done after ${Math.floor(tookMs / 1000)} s`;
      return { part: 'calls', state: 'failing', reason, sinceMs };
    }
    return undefined;
  };
  return {
    async during(what, work, boundMs = 0) {
      const call = { what, sinceMs: clock.monotonicMs(), boundMs };
      calls.add(call);
      try {
        return await work();
      } finally {
        calls.delete(call);
      }
    },
    conditions(limitMs) {
      const condition = longest(() => limitMs);
      return condition === undefined ? [] : [condition];
    },
    hang: (limitMs) => longest(({ boundMs }) => Math.max(limitMs, boundMs))?.reason,
  };
}

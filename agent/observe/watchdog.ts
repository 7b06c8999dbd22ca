// Tracks calls that have not returned yet, so that a call that hangs is noticed while its caller waits.
import type { Clock } from '../base/clock.ts';
import type { Condition } from '../model/condition.ts';

export interface Watchdog {
  /** Runs `work` and tracks it under a name such as `reading the kernel` until it settles. */
  during<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** The oldest call that has taken longer than this, as a condition; empty: there is none. */
  conditions(limitMs: number): readonly Condition[];
}

export function createWatchdog(clock: Clock): Watchdog {
  // In the order of their start.
  const calls = new Set<{ readonly what: string; readonly sinceMs: number }>();
  return {
    async during(what, work) {
      const call = { what, sinceMs: clock.monotonicMs() };
      calls.add(call);
      try {
        return await work();
      } finally {
        calls.delete(call);
      }
    },
    conditions(limitMs) {
      const [oldest] = calls;
      const tookMs = oldest === undefined ? 0 : clock.monotonicMs() - oldest.sinceMs;
      if (oldest === undefined || tookMs <= limitMs) return [];
      const reason = `${oldest.what}: not done after ${Math.floor(tookMs / 1000)} s`;
      return [{ part: 'calls', state: 'failing', reason }];
    },
  };
}

// Tracks calls that have not returned yet, so that a call that hangs is noticed while its caller waits.
import type { Clock } from '../base/clock.ts';

export interface Watchdog {
  /** Runs `work` and tracks it under a name such as `reading the kernel` until it settles. */
  during<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** The oldest call that takes longer than `limitMs`, in one line; undefined: there is none. */
  overdue(limitMs: number): string | undefined;
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
    overdue(limitMs) {
      const [oldest] = calls;
      if (oldest === undefined) return undefined;
      const tookMs = clock.monotonicMs() - oldest.sinceMs;
      return tookMs > limitMs ? `${oldest.what}: not done after ${Math.floor(tookMs / 1000)} s` : undefined;
    },
  };
}

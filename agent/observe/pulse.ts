// Which calls into the world have not come back yet, so that one that hangs is seen, whoever waits for it.
import type { Clock } from '../base/clock.ts';

export interface Pulse {
  /** Does `work`, known as `what` until it is done: `reading the kernel`. */
  during<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** What has not come back for longer than this, the oldest first, one line; undefined: nothing. */
  overdue(limitMs: number): string | undefined;
}

export function createPulse(clock: Clock): Pulse {
  // In the order in which they began.
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

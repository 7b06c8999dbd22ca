// Bounds the share of the time that looks at foreign things take. A host may be so crowded that one look takes seconds.
import type { Clock } from '../base/clock.ts';

export interface Pace {
  /** Does the work, and measures it. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Milliseconds until work may be done again that takes one part in `parts` of the time at most, and begins at most
   * each `shortestMs`; 0: now.
   */
  waitMs(parts: number, shortestMs: number): number;
}

/** A pace of work that has not been done yet. */
export function createPace(clock: Clock): Pace {
  let startMs = Number.NEGATIVE_INFINITY;
  let tookMs = 0;
  return {
    async during(work) {
      startMs = clock.monotonicMs();
      try {
        return await work();
      } finally {
        tookMs = clock.monotonicMs() - startMs;
      }
    },
    waitMs: (parts, shortestMs) =>
      Math.max(0, startMs + Math.max(shortestMs, parts * tookMs) - clock.monotonicMs()),
  };
}

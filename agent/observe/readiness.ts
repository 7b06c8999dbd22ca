// Since when the node is ready, or not. Parts tell when their conditions began; the end of the last one is noticed at a
// look.
import type { Clock } from '../base/clock.ts';
import type { Condition } from '../model/condition.ts';

export interface Readiness {
  /** Why the node is not ready; undefined: it is. */
  readonly reason: string | undefined;
  /** On the monotonic clock. */
  readonly sinceMs: number;
}

export function createReadiness(
  conditions: () => readonly Condition[],
  clock: Pick<Clock, 'monotonicMs'>,
): { look(): Readiness } {
  let now: Readiness = { reason: 'starting', sinceMs: clock.monotonicMs() };
  return {
    look() {
      const all = conditions();
      const reason = all[0]?.reason;
      if ((reason === undefined) !== (now.reason === undefined)) {
        const begun = all.flatMap(({ sinceMs }) => sinceMs ?? []);
        const sinceMs = begun.length === 0 ? clock.monotonicMs() : Math.max(now.sinceMs, Math.min(...begun));
        now = { reason, sinceMs };
      }
      return { ...now, reason };
    },
  };
}

// Long work in slices: whatever else the process has to do, such as answering a request, gets its turn in between.
import type { Clock } from './clock.ts';

/**
 * Called between steps of long work: lets others have a turn when `sliceMs` have gone by since it last did. Time that
 * was spent waiting counts too, which costs a turn too many at most.
 */
export function createPace(clock: Clock, sliceMs: number): () => Promise<void> | undefined {
  let sinceMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - sinceMs < sliceMs) return undefined;
    return clock.sleep(0).then(() => {
      sinceMs = clock.monotonicMs();
    });
  };
}

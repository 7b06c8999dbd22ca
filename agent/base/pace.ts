// Long work in slices: other work of the process, such as answering a request, gets its turn in between.
import type { Clock } from './clock.ts';

/** Long work gives others a turn this often; /healthz has to answer within 100 ms. */
const SLICE_MS = 5;

/**
 * Gives a function to call between two steps of long work. It lets others have a turn when `sliceMs` have gone by since
 * the last turn. Waiting counts as time too, which costs one turn too many at most.
 */
export function createPace(clock: Clock, sliceMs: number = SLICE_MS): () => Promise<void> | undefined {
  let sinceMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - sinceMs < sliceMs) return undefined;
    return clock.sleep(0).then(() => {
      sinceMs = clock.monotonicMs();
    });
  };
}

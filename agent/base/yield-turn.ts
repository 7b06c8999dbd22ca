// Splits long work into slices, so that the event loop serves other work, such as a request, in between.
import type { Clock } from './clock.ts';

/** Length of a slice. /healthz has to answer within 100 ms. */
const SLICE_MS = 5;

/**
 * A function to await between two steps of long work. It yields to the event loop if `sliceMs` have passed since the
 * last yield; otherwise it returns undefined, which costs no turn. Time spent waiting counts too, which costs at most
 * one turn too many.
 */
export function createYieldTurn(clock: Clock, sliceMs: number = SLICE_MS): () => Promise<void> | undefined {
  let sinceMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - sinceMs < sliceMs) return undefined;
    return clock.sleep(0).then(() => {
      sinceMs = clock.monotonicMs();
    });
  };
}

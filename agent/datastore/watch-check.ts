// Checks a watch that is silent. A broken connection ends a watch by itself, but a proxy between us and the store keeps
// its side open: it is silent while the store is away, and stays silent if the store has lost its data.
import type { Clock } from '../base/clock.ts';
import { HistoryLost } from '../model/kv.ts';
import { LIMITS } from './limits.ts';

export interface SilenceCheck {
  readonly clock: Clock;
  /** The number of leases. */
  readonly leases: number;
  /** Asks the store whether the watch has told everything. Fails when the store cannot be reached. */
  readonly isTold: (signal: AbortSignal) => Promise<boolean>;
}

/**
 * The batches of the watch that `open` starts. Fails like `isTold`, and with `HistoryLost` if the store has changes
 * that the watch does not tell of. Ends quietly when `signal` is aborted.
 */
export async function* watchChecked<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  { clock, leases, isTold }: SilenceCheck,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const end = new AbortController();
  const either = AbortSignal.any([signal, end.signal]);
  let heardMs = clock.monotonicMs();
  const silenceMs = Math.max(LIMITS.datastoreSilenceMs, leases * LIMITS.datastoreSilencePerLeaseMs);
  let fault: unknown;

  const check = async (): Promise<void> => {
    const leftMs = heardMs + silenceMs - clock.monotonicMs();
    if (leftMs > 0) return clock.sleep(leftMs, either);
    const askedMs = heardMs;
    if (!(await isTold(either))) {
      // A change may be on its way.
      await clock.sleep(LIMITS.datastoreRequestMs, either);
      if (heardMs === askedMs && !(await isTold(either)))
        throw new HistoryLost('the watch is silent about a change');
    }
    heardMs = Math.max(heardMs, clock.monotonicMs());
  };
  const checkAlways = async (): Promise<void> => {
    while (!either.aborted) await check();
  };
  void checkAlways().catch((error: unknown) => {
    if (either.aborted) return;
    fault = error;
    end.abort();
  });

  try {
    for await (const batch of open(either)) {
      heardMs = clock.monotonicMs();
      yield batch;
    }
    if (fault !== undefined) throw fault;
  } finally {
    end.abort();
  }
}

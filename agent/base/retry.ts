// How long to wait before trying again: exponential, limited, with jitter so that thousands of agents that
// failed together do not come back together.

/** The waits between attempts. */
export interface Backoff {
  /** Wait after the first failure, in milliseconds. */
  readonly firstMs: number;
  /** No wait is longer than this, in milliseconds. */
  readonly maxMs: number;
}

/** Milliseconds to wait after the given number of failures in a row (1 or more); `random` is in [0, 1). */
export function backoffMs(backoff: Backoff, failures: number, random: () => number): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (random() * full) / 2;
}

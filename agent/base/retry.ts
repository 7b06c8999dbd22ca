// Exponential back-off with a limit and with jitter: agents that failed together do not come back together.
import type { Clock } from './clock.ts';

/** Limits of the waits between attempts. */
export interface Backoff {
  /** Wait after the first failure, in milliseconds. */
  readonly firstMs: number;
  /** No wait is longer than this, in milliseconds. */
  readonly maxMs: number;
}

/** Milliseconds to wait after the given number of failures in a row (1 or more). `random` is in [0, 1). */
export function backoffMs(backoff: Backoff, failures: number, random: () => number): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures - 1, 30));
  return full / 2 + (random() * full) / 2;
}

/** An operation that is tried until it succeeds. */
export interface Retried<T> {
  readonly clock: Clock;
  readonly random: () => number;
  readonly backoff: Backoff;
  attempt(): Promise<T>;
  /** Called for each failure. If it throws, there are no further attempts. */
  onFailure(error: unknown): void;
  /** The shortest wait after a failure, in milliseconds: a server may ask for one. Default: 0. */
  leastMs?(error: unknown): number;
}

/** Repeats the attempt, with growing pauses, until it succeeds or `signal` is aborted. */
export async function retry<T>(what: Retried<T>, signal: AbortSignal): Promise<T> {
  for (let failures = 1; ; failures++) {
    let leastMs = 0;
    try {
      return await what.attempt();
    } catch (error) {
      signal.throwIfAborted();
      what.onFailure(error);
      leastMs = what.leastMs?.(error) ?? 0;
    }
    await what.clock.sleep(Math.max(leastMs, backoffMs(what.backoff, failures, what.random)), signal);
  }
}

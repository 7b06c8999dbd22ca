// Repeats calls of the API until they succeed: with growing pauses, and with those that a busy server asks for.
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import { backoffMs, retry } from '../../base/retry.ts';
import { ApiError } from './api-error.ts';
import { LIMITS } from './limits.ts';

export interface Persistence<T> {
  readonly clock: Clock;
  readonly random: Random;
  readonly attempt: () => Promise<T>;
  /** Called for each failure. If it throws, there are no further attempts. */
  readonly onFailure: (error: ApiError) => void;
}

/** Repeats `attempt` until it succeeds or `signal` is aborted. Another error than an ApiError ends it. */
export function persist<T>({ attempt, onFailure, ...deps }: Persistence<T>, signal: AbortSignal): Promise<T> {
  return retry(
    {
      ...deps,
      attempt,
      backoff: LIMITS.backoff,
      onFailure(error) {
        if (!(error instanceof ApiError)) throw error;
        onFailure(error);
      },
      leastMs: (error) => askedPauseMs(error, deps.random),
    },
    signal,
  );
}

/** Milliseconds to wait after an error and a number of failures in a row, 1 or more. */
export function pauseMs(error: unknown, failures: number, random: Random): number {
  return Math.max(askedPauseMs(error, random), backoffMs(LIMITS.backoff, failures, random));
}

/**
 * All clients of a busy server are told the same time: up to half of it is added, so that they do not come together.
 */
function askedPauseMs(error: unknown, random: Random): number {
  const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
  return asked * (1 + random() / 2);
}

// Ends a request that the other side lets wait. One timer for as long as it lasts: a byte costs a look at the clock.
import type { Clock } from '../../base/clock.ts';

export interface Patience extends Disposable {
  /** Aborted with the parent's reason, or with an error once the other side was silent, or slow, for too long. */
  readonly signal: AbortSignal;
  /** The other side has sent something. */
  heard(): void;
  /** Gives up now. */
  end(reason: Error): void;
}

export interface PatienceLimits {
  /** Longest time without a byte, in milliseconds. */
  readonly silenceMs: number;
  /** Longest time as a whole, in milliseconds; undefined: no limit. */
  readonly wholeMs: number | undefined;
}

export function createPatience(
  clock: Clock,
  { silenceMs, wholeMs = Number.POSITIVE_INFINITY }: PatienceLimits,
  parent: AbortSignal,
): Patience {
  const controller = new AbortController();
  const over = new AbortController();
  const forward = (): void => controller.abort(parent.reason);
  const startMs = clock.monotonicMs();
  let heardMs = startMs;

  const watch = async (): Promise<void> => {
    for (;;) {
      const nowMs = clock.monotonicMs();
      const restMs = Math.min(heardMs + silenceMs, startMs + wholeMs) - nowMs;
      if (restMs <= 0) {
        const isSilent = nowMs >= heardMs + silenceMs;
        controller.abort(
          new Error(isSilent ? `silent for ${silenceMs} ms` : `no whole answer within ${wholeMs} ms`),
        );
        return;
      }
      await clock.sleep(restMs, over.signal);
    }
  };

  if (parent.aborted) forward();
  else {
    parent.addEventListener('abort', forward, { once: true });
    watch().catch(() => undefined);
  }
  return {
    signal: controller.signal,
    heard() {
      heardMs = clock.monotonicMs();
    },
    end: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      over.abort();
      parent.removeEventListener('abort', forward);
    },
  };
}

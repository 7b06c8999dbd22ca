// Rung by whoever knows that there is work, waited for by the one who does it. However often it is rung before
// somebody waits, that is one ring: events are coalesced by it.
import type { Clock } from './clock.ts';

export interface Bell {
  ring(): void;
  /** Resolves at the next ring, at once where it rang since the last wait, or after `timeoutMs`. Rejects when aborted. */
  wait(signal: AbortSignal, timeoutMs?: number): Promise<'rung' | 'timeout'>;
}

export function createBell(clock: Clock): Bell {
  let isRung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      isRung = true;
      wake?.();
    },
    async wait(signal, timeoutMs) {
      signal.throwIfAborted();
      if (!isRung) {
        const done = new AbortController();
        // Not AbortSignal.any: the long-lived signal would remember each of millions of waits.
        const stop = (): void => done.abort(signal.reason);
        signal.addEventListener('abort', stop, { once: true });
        const rung = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const timer = clock.sleep(timeoutMs ?? FOR_EVER_MS, done.signal);
        try {
          await Promise.race([rung, timer]);
        } finally {
          wake = undefined;
          signal.removeEventListener('abort', stop);
          done.abort();
          // It ends by our own abort, after the race is over.
          timer.catch(() => undefined);
        }
      }
      const outcome = isRung ? 'rung' : 'timeout';
      isRung = false;
      return outcome;
    },
  };
}

// The longest that a timer takes, 24 days; the wait is then simply begun again.
const FOR_EVER_MS = 2 ** 31 - 1;

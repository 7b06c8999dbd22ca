// A condition that one loop waits for. Event sources ring it when there is work. Rings between two waits are coalesced
// into one.
import type { Clock } from './clock.ts';

export interface Bell {
  ring(): void;
  /**
   * Resolves at the next ring or after `timeoutMs`, or at once if the bell rang since the last wait. Rejects when
   * aborted.
   */
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
        // Not AbortSignal.any: the long-lived signal would keep a reference to each of millions of waits.
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
          // Our own abort rejects it after the race.
          timer.catch(() => undefined);
        }
      }
      const outcome = isRung ? 'rung' : 'timeout';
      isRung = false;
      return outcome;
    },
  };
}

// The longest delay of a timer, 24 days. The caller then waits again.
const FOR_EVER_MS = 2 ** 31 - 1;

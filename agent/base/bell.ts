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

  // Waits are many and short: a wait without a time-out makes no timer, and neither makes an error for its end.
  const nextRing = (signal: AbortSignal, timeoutMs: number | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = timeoutMs === undefined ? undefined : new AbortController();
      const end = (): void => {
        // The timer may end late, when the next wait has begun.
        if (wake === finish) wake = undefined;
        signal.removeEventListener('abort', stop);
        timer?.abort(OVER);
      };
      const stop = (): void => {
        end();
        reject(signal.reason);
      };
      const finish = (): void => {
        end();
        resolve();
      };
      wake = finish;
      // Not AbortSignal.any: the long-lived signal would keep a reference to each of millions of waits.
      signal.addEventListener('abort', stop, { once: true });
      if (timer !== undefined) clock.sleep(timeoutMs ?? 0, timer.signal).then(finish, () => undefined);
    });

  return {
    ring() {
      isRung = true;
      wake?.();
    },
    async wait(signal, timeoutMs) {
      signal.throwIfAborted();
      if (!isRung) await nextRing(signal, timeoutMs);
      const outcome = isRung ? 'rung' : 'timeout';
      isRung = false;
      return outcome;
    },
  };
}

const OVER = 'the wait is over';

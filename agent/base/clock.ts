// The one door to time. Durations are measured on the monotonic clock, so that nothing expires early when the wall
// clock is set. The wall clock is only for people and for times shared between processes.
import { uptime } from 'node:os';

/** A source of time. Tests replace it by a virtual one. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /**
   * Milliseconds since the machine was started, in steps of 10. Counts on while the machine is suspended, unlike the
   * monotonic clock.
   */
  bootMs(): number;
  /** Milliseconds since 1970 by the machine's clock. */
  wallMs(): number;
  /**
   * Resolves after `ms`; 0 is one turn of the event loop. Rejects with the signal's reason if the signal is aborted
   * first.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// The longest delay of a timer, 24 days. A longer one would fire at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  bootMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      // One turn of the event loop is meant, and the shortest timer is 1 ms.
      if (ms === 0) {
        setImmediate(resolve);
        return;
      }
      let timer: NodeJS.Timeout;
      const stop = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const wait = (restMs: number): void => {
        timer = setTimeout(
          () => {
            if (restMs > LONGEST_TIMER_MS) return wait(restMs - LONGEST_TIMER_MS);
            signal?.removeEventListener('abort', stop);
            resolve();
          },
          Math.min(restMs, LONGEST_TIMER_MS),
        );
      };
      wait(ms);
      signal?.addEventListener('abort', stop, { once: true });
    }),
};

/** Calls `onLate` after `ms`, with an error that says that `what` took too long, unless it is disposed of before. */
export function timeLimit(ms: number, what: string, onLate: (error: Error) => void): Disposable {
  const timer = setTimeout(() => onLate(new Error(`${what}: no answer within ${ms} ms`)), ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** A signal that is aborted when `parent` is, or after `ms` with an error that says that `what` took too long. */
export function deadline(
  parent: AbortSignal | undefined,
  ms: number,
  what: string,
): AbortSignal & Disposable {
  const controller = new AbortController();
  const forward = (): void => controller.abort(parent?.reason);
  if (parent?.aborted === true) forward();
  parent?.addEventListener('abort', forward, { once: true });
  const limit = timeLimit(ms, what, (error) => controller.abort(error));
  return Object.assign(controller.signal, {
    [Symbol.dispose]: () => {
      limit[Symbol.dispose]();
      parent?.removeEventListener('abort', forward);
    },
  });
}

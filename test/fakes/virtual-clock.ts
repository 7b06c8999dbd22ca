// Time that passes only when a test says so. What is due runs in its order, and whatever it sets off comes to rest
// before time goes on, so that hours pass in no time and always in the same way.
import type { Clock } from '../../agent/base/clock.ts';

/** A clock that starts at 0 and stands still. */
export interface VirtualClock extends Clock {
  /** Lets `ms` pass: wakes every sleeper that is due, one after the other, also those that begin meanwhile. */
  advance(ms: number): Promise<void>;
  /** Lets everything that waits for no time run until it waits for some. */
  settle(): Promise<void>;
  /** How many are asleep. */
  readonly sleepers: number;
}

interface Sleeper {
  readonly dueMs: number;
  wake(): void;
}

export function createVirtualClock(): VirtualClock {
  const sleepers = new Set<Sleeper>();
  let nowMs = 0;
  // Promises settle before the next turn of the loop; a second turn lets what that one set off settle too.
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const nextDue = (limitMs: number): Sleeper | undefined => {
    let next: Sleeper | undefined;
    for (const sleeper of sleepers) {
      if (sleeper.dueMs <= limitMs && (next === undefined || sleeper.dueMs < next.dueMs)) next = sleeper;
    }
    return next;
  };
  return {
    monotonicMs: () => nowMs,
    bootMs: () => nowMs,
    wallMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(signal.reason);
          return;
        }
        const stop = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const sleeper: Sleeper = {
          dueMs: nowMs + Math.max(ms, 0),
          wake() {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', stop);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', stop, { once: true });
      }),
    async advance(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (let next = nextDue(endMs); next !== undefined; next = nextDue(endMs)) {
        nowMs = Math.max(nowMs, next.dueMs);
        next.wake();
        await settle();
      }
      nowMs = endMs;
    },
    settle,
    get sleepers() {
      return sleepers.size;
    },
  };
}

// Time that passes only when a test advances it. Sleepers wake in the order of their times. Everything that one of them
// starts comes to rest before time goes on. So hours pass at once, and always in the same order.
import type { Clock } from '../../agent/base/clock.ts';

/** A clock that starts at 0 and stands still. */
export interface VirtualClock extends Clock {
  /** Lets `ms` pass: wakes every due sleeper, one after the other, also sleepers that begin meanwhile. */
  advance(ms: number): Promise<void>;
  /** Runs everything that waits for no time, until it waits for some. */
  settle(): Promise<void>;
  /** Number of sleepers. */
  readonly sleepers: number;
}

/** The shortest sleep. A shorter time added to a long one may vanish in rounding, and its sleeper would never end. */
const GRAIN_MS = 0.001;

interface Sleeper {
  readonly dueMs: number;
  /** Order among sleepers due at the same time: the first to fall asleep wakes first. */
  readonly order: number;
  /** Undefined once the sleeper was woken or aborted. */
  wake: (() => void) | undefined;
}

/** Creates a clock. It calls `onRest` whenever everything has come to rest, before time goes on. */
export function createVirtualClock(onRest?: () => void): VirtualClock {
  // A heap: the parent of place i is at (i - 1) / 2, and never due after it. Aborted sleepers stay in it until they
  // reach its top, or until there are too many.
  let heap: Sleeper[] = [];
  let asleep = 0;
  let sleeps = 0;
  let nowMs = 0;

  const isBefore = (a: Sleeper, b: Sleeper): boolean =>
    a.dueMs === b.dueMs ? a.order < b.order : a.dueMs < b.dueMs;
  const at = (place: number): Sleeper => {
    const sleeper = heap[place];
    if (sleeper === undefined) throw new Error(`no sleeper at ${place}`);
    return sleeper;
  };
  const rise = (from: number): void => {
    const sleeper = at(from);
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (isBefore(at(parent), sleeper)) break;
      heap[place] = at(parent);
      place = parent;
    }
    heap[place] = sleeper;
  };
  const sink = (): void => {
    const sleeper = at(0);
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(at(child + 1), at(child))) child += 1;
      if (isBefore(sleeper, at(child))) break;
      heap[place] = at(child);
      place = child;
    }
    heap[place] = sleeper;
  };
  const dropFirst = (): void => {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    sink();
  };
  const forgetGone = (): void => {
    if (heap.length < 64 || heap.length < 2 * asleep) return;
    heap = heap.filter(({ wake }) => wake !== undefined);
    heap.sort((a, b) => (isBefore(a, b) ? -1 : 1));
  };
  const nextDue = (limitMs: number): Sleeper | undefined => {
    for (let next = heap[0]; next !== undefined; next = heap[0]) {
      if (next.wake === undefined) dropFirst();
      else return next.dueMs <= limitMs ? next : undefined;
    }
    return undefined;
  };
  // Promises settle before the next turn of the loop.
  const settle = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    onRest?.();
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
        const leave = (): void => {
          sleeper.wake = undefined;
          asleep -= 1;
          signal?.removeEventListener('abort', stop);
        };
        const stop = (): void => {
          leave();
          forgetGone();
          reject(signal?.reason);
        };
        const sleeper: Sleeper = {
          dueMs: nowMs + (ms > 0 ? Math.max(ms, GRAIN_MS) : 0),
          order: sleeps++,
          wake() {
            leave();
            resolve();
          },
        };
        heap.push(sleeper);
        asleep += 1;
        rise(heap.length - 1);
        signal?.addEventListener('abort', stop, { once: true });
      }),
    async advance(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (let next = nextDue(endMs); next !== undefined; next = nextDue(endMs)) {
        nowMs = next.dueMs;
        dropFirst();
        next.wake?.();
        await settle();
      }
      nowMs = endMs;
    },
    settle,
    get sleepers() {
      return asleep;
    },
  };
}

// Waiting for a condition: looked at often, for a limited time, and named when it does not come true.
import { systemClock } from '../../agent/base/clock.ts';

/** Between two looks, in milliseconds, unless told otherwise. */
const EVERY_MS = 10;

/**
 * Looks again and again until `probe` gives something other than undefined or false, and gives that.
 * Fails after `timeoutMs` with an error that says `what` did not happen.
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  everyMs = EVERY_MS,
): Promise<T> {
  const end = systemClock.monotonicMs() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (systemClock.monotonicMs() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await systemClock.sleep(everyMs);
  }
}

/** Runs `work` over all items, at most `limit` at a time, and gives the results in the order of the items. */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = Array.from<R>({ length: items.length });
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

// Waits for a condition: checks it often, for a limited time, and names it if it does not come true.
import { systemClock } from '../../agent/base/clock.ts';

/** Default interval between two checks, in milliseconds. */
const EVERY_MS = 10;

/**
 * Calls `probe` again and again until its value is neither undefined nor false, and returns that value. Throws after
 * `timeoutMs`; the error says that `what` did not happen.
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

/** Runs `work` over all items, at most `limit` at a time, and returns the results in the order of the items. */
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

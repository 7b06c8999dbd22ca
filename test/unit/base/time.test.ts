import { describe, expect, it, vi } from 'vitest';
import { createChannel } from '../../../agent/base/channel.ts';
import { deadline, systemClock } from '../../../agent/base/clock.ts';
import { backoffMs, retry } from '../../../agent/base/retry.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

describe('the system clock', () => {
  it('the system clock sleeps, and stops sleeping with the signal’s reason', async () => {
    const before = systemClock.monotonicMs();
    await systemClock.sleep(20);
    expect(systemClock.monotonicMs() - before).toBeGreaterThan(15);
    const stop = new AbortController();
    const sleep = systemClock.sleep(60_000, stop.signal);
    stop.abort(new Error('stop'));
    await expect(sleep).rejects.toThrow('stop');
    await expect(systemClock.sleep(0, stop.signal)).rejects.toThrow('stop');
  });

  it('the system clock counts boot time as fast as monotonic time', async () => {
    const [boot, monotonic] = [systemClock.bootMs(), systemClock.monotonicMs()];
    await systemClock.sleep(200);
    const slept = systemClock.monotonicMs() - monotonic;
    expect(Math.abs(systemClock.bootMs() - boot - slept)).toBeLessThan(50);
  });

  it('the system clock sleeps longer than the longest timer', async () => {
    vi.useFakeTimers();
    try {
      let isAwake = false;
      const month = 31 * 86_400_000;
      void systemClock.sleep(month).then(() => {
        isAwake = true;
      });
      await vi.advanceTimersByTimeAsync(month - 1);
      expect(isAwake).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(isAwake).toBe(true);
      const stop = new AbortController();
      const sleep = systemClock.sleep(month, stop.signal);
      await vi.advanceTimersByTimeAsync(month - 1);
      stop.abort(new Error('stop'));
      await expect(sleep).rejects.toThrow('stop');
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a deadline', () => {
  it('a deadline names the request that took too long', async () => {
    using limit = deadline(undefined, 1, 'GET /x');
    await expect.poll(() => limit.aborted).toBe(true);
    expect(limit.reason).toMatchObject({ message: 'GET /x: no answer within 1 ms' });
  });

  it('a deadline is aborted with its parent, and never after it is disposed', async () => {
    const parent = new AbortController();
    const disposed = deadline(parent.signal, 1, 'x');
    disposed[Symbol.dispose]();
    using limit = deadline(parent.signal, 60_000, 'x');
    parent.abort(new Error('stop'));
    expect(limit.reason).toMatchObject({ message: 'stop' });
    using late = deadline(parent.signal, 60_000, 'x');
    expect(late.reason).toMatchObject({ message: 'stop' });
    await systemClock.sleep(5);
    expect(disposed.aborted).toBe(false);
  });
});

describe('backoffMs', () => {
  const backoff = { firstMs: 100, maxMs: 5_000 };

  it.each([
    [1, 50, 100],
    [2, 100, 200],
    [6, 1_600, 3_200],
    [7, 2_500, 5_000],
    [1_000_000, 2_500, 5_000],
  ])('backoffMs after %d failures waits from %d to %d', (failures, min, max) => {
    expect(backoffMs(backoff, failures, () => 0)).toBe(min);
    expect(backoffMs(backoff, failures, () => 1)).toBe(max);
  });
});

describe('retry', () => {
  const retrying = (
    attempt: () => Promise<string>,
    onFailure: (error: unknown) => void,
    stop: AbortSignal,
  ) => {
    const clock = createVirtualClock();
    const done = retry(
      { clock, random: () => 0, backoff: { firstMs: 100, maxMs: 300 }, attempt, onFailure },
      stop,
    );
    done.catch(() => undefined);
    return { clock, done };
  };

  it('retry tries until it succeeds, with growing pauses', async () => {
    const failures: unknown[] = [];
    const attempt = async (): Promise<string> => {
      if (failures.length < 3) throw new Error('not yet');
      return 'done';
    };
    const { clock, done } = retrying(attempt, (error) => failures.push(error), new AbortController().signal);
    await clock.advance(50 + 100 + 149);
    expect(failures).toHaveLength(3);
    expect(clock.sleepers).toBe(1);
    await clock.advance(1);
    await expect(done).resolves.toBe('done');
  });

  it('retry ends when `onFailure` throws, and when it is aborted', async () => {
    const fail = (): Promise<string> => Promise.reject(new Error('not yet'));
    const refuse = (): void => {
      throw new Error('never');
    };
    await expect(retrying(fail, refuse, new AbortController().signal).done).rejects.toThrow('never');
    const stop = new AbortController();
    const { clock, done } = retrying(fail, () => undefined, stop.signal);
    await clock.advance(10);
    stop.abort(new Error('stop'));
    await expect(done).rejects.toThrow('stop');
  });
});

describe('a channel', () => {
  const read = async <T>(channel: AsyncIterable<T>): Promise<T[]> => {
    const items: T[] = [];
    for await (const item of channel) items.push(item);
    return items;
  };

  it('a channel delivers items in order, pushed before or while it is read', async () => {
    const channel = createChannel<number>('numbers', 10);
    channel.push(1);
    const items = read(channel);
    await systemClock.sleep(1);
    channel.push(2);
    channel.push(3);
    channel.close();
    channel.push(4);
    expect(await items).toEqual([1, 2, 3]);
  });

  it('a channel delivers as many items as its limit, then fails if there were more', async () => {
    const full = createChannel<number>('numbers', 3);
    for (const n of [1, 2, 3]) full.push(n);
    full.close();
    expect(await read(full)).toEqual([1, 2, 3]);
    const over = createChannel<number>('numbers', 3);
    for (const n of [1, 2, 3, 4, 5]) over.push(n);
    const seen: number[] = [];
    const reading = (async () => {
      for await (const n of over) seen.push(n);
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'internal',
      message: 'numbers: reader is more than 3 items behind',
    });
    expect(seen).toEqual([1, 2, 3]);
  });

  it('a channel delivers the items before an error, then throws the first error', async () => {
    const channel = createChannel<number>('numbers', 3);
    channel.push(1);
    channel.fail(new Error('lost'));
    channel.fail(new Error('again'));
    channel.close();
    await expect(read(channel)).rejects.toThrow('lost');
  });

  it('a channel drops its items when the reader leaves', async () => {
    const channel = createChannel<number>('numbers', 3);
    for (const n of [1, 2]) channel.push(n);
    for await (const n of channel) if (n === 1) break;
    for (const n of [3, 4, 5, 6]) channel.push(n);
    expect(await read(channel)).toEqual([]);
  });
});

describe('the virtual clock', () => {
  it('the virtual clock wakes sleepers in order, also those that begin during an advance', async () => {
    const clock = createVirtualClock();
    const seen: string[] = [];
    const sleeper = async (name: string, ...waits: number[]): Promise<void> => {
      for (const ms of waits) {
        await clock.sleep(ms);
        seen.push(`${name} ${clock.monotonicMs()}`);
      }
    };
    void sleeper('b', 20, 20);
    void sleeper('a', 10, 15);
    await clock.advance(39);
    expect(seen).toEqual(['a 10', 'b 20', 'a 25']);
    expect(clock.monotonicMs()).toBe(39);
    await clock.advance(1);
    expect(seen.at(-1)).toBe('b 40');
    expect(clock.sleepers).toBe(0);
  });

  it('the virtual clock rejects an aborted sleep', async () => {
    const clock = createVirtualClock();
    const stop = new AbortController();
    const sleep = clock.sleep(10, stop.signal);
    stop.abort(new Error('stop'));
    await expect(sleep).rejects.toThrow('stop');
    await expect(clock.sleep(10, stop.signal)).rejects.toThrow('stop');
    expect(clock.sleepers).toBe(0);
  });
});

import { describe, expect, it } from 'vitest';
import { runTasks } from '../../../agent/base/tasks.ts';

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

describe('runTasks', () => {
  it('runTasks returns after an abort when all tasks have ended', async () => {
    const stop = new AbortController();
    const ended: number[] = [];
    const running = runTasks(
      stop.signal,
      [1, 2].map((n) => async (signal) => {
        await untilAborted(signal).finally(() => ended.push(n));
      }),
    );
    stop.abort();
    await running;
    expect(ended).toEqual([1, 2]);
  });

  it('runTasks ends the other tasks at the first failure, then throws it', async () => {
    const ended: string[] = [];
    const running = runTasks(new AbortController().signal, [
      async (signal) => {
        await untilAborted(signal).catch(() => undefined);
        await new Promise((resolve) => setImmediate(resolve));
        ended.push('slow');
        throw new Error('while stopping');
      },
      async () => {
        throw new Error('first');
      },
    ]);
    await expect(running).rejects.toThrow('first');
    expect(ended).toEqual(['slow']);
  });

  it('runTasks lets the other tasks go on when one returns', async () => {
    const stop = new AbortController();
    let isDone = false;
    const running = runTasks(stop.signal, [async () => undefined, untilAborted]).finally(() => {
      isDone = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).toBe(false);
    stop.abort();
    await running;
  });

  it('runTasks fails also if a task throws synchronously or throws a value that is no error', async () => {
    const { signal } = new AbortController();
    const synchronous = (): Promise<void> => {
      throw new Error('at once');
    };
    await expect(runTasks(signal, [untilAborted, synchronous])).rejects.toThrow('at once');
    await expect(runTasks(signal, [() => Promise.reject(undefined)])).rejects.toBeUndefined();
  });

  it('runTasks ignores an error of a task that was told to stop', async () => {
    const stop = new AbortController();
    stop.abort();
    await runTasks(stop.signal, [untilAborted, async (signal) => signal.throwIfAborted()]);
  });
});

import { describe, expect, it, vi } from 'vitest';
import { createBell } from '../../../agent/base/bell.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

// The outcome of a wait so far.
function watch<T>(promise: Promise<T>): { outcome: T | 'waiting' | Error } {
  const seen: { outcome: T | 'waiting' | Error } = { outcome: 'waiting' };
  promise.then(
    (value) => {
      seen.outcome = value;
    },
    (error: unknown) => {
      seen.outcome = error as Error;
    },
  );
  return seen;
}

const setUp = () => {
  const clock = createVirtualClock();
  return { clock, bell: createBell(clock), stop: new AbortController() };
};

describe('a bell', () => {
  it('a bell wakes a waiting loop', async () => {
    const { clock, bell, stop } = setUp();
    const wait = watch(bell.wait(stop.signal));
    await clock.advance(60_000);
    expect(wait.outcome).toBe('waiting');
    bell.ring();
    await clock.settle();
    expect(wait.outcome).toBe('rung');
    expect(clock.sleepers).toBe(0);
  });

  it('a bell keeps a ring until the next wait, and coalesces many rings into one', async () => {
    const { clock, bell, stop } = setUp();
    for (let i = 0; i < 5; i++) bell.ring();
    expect(await bell.wait(stop.signal, 100)).toBe('rung');
    const second = watch(bell.wait(stop.signal, 100));
    await clock.advance(99);
    expect(second.outcome).toBe('waiting');
    await clock.advance(1);
    expect(second.outcome).toBe('timeout');
  });

  it('a bell keeps a ring that comes between a time-out and the next wait', async () => {
    const { clock, bell, stop } = setUp();
    const first = watch(bell.wait(stop.signal, 100));
    await clock.advance(100);
    expect(first.outcome).toBe('timeout');
    bell.ring();
    expect(await bell.wait(stop.signal, 100)).toBe('rung');
  });

  it('a bell wakes a waiting loop although the timer of the wait before ends late', async () => {
    const { clock, stop } = setUp();
    let endTimer: () => void = () => undefined;
    const sleep = (): Promise<void> =>
      new Promise((resolve) => {
        endTimer = resolve;
      });
    const bell = createBell({ ...clock, sleep });
    const first = bell.wait(stop.signal, 100);
    bell.ring();
    expect(await first).toBe('rung');
    const second = watch(bell.wait(stop.signal));
    endTimer();
    await clock.settle();
    bell.ring();
    await clock.settle();
    expect(second.outcome).toBe('rung');
  });

  it('a bell rejects an aborted wait with the signal’s reason, and keeps a ring for the next wait', async () => {
    const { clock, bell, stop } = setUp();
    const wait = watch(bell.wait(stop.signal, 100));
    stop.abort(new Error('stop'));
    await clock.settle();
    expect(wait.outcome).toMatchObject({ message: 'stop' });
    expect(clock.sleepers).toBe(0);
    bell.ring();
    await expect(bell.wait(stop.signal)).rejects.toThrow('stop');
    expect(await bell.wait(new AbortController().signal)).toBe('rung');
  });

  it('a bell leaves no listener on the signal after many waits', async () => {
    const { clock, bell } = setUp();
    const signal = new AbortController().signal;
    let listeners = 0;
    // A signal keeps a reference to every signal that was derived from it.
    const derive = vi.spyOn(AbortSignal, 'any');
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    for (let i = 0; i < 100; i++) {
      const wait = bell.wait(signal, 10);
      if (i % 2 === 0) bell.ring();
      await clock.advance(10);
      expect(await wait).toBe(i % 2 === 0 ? 'rung' : 'timeout');
    }
    expect(derive).not.toHaveBeenCalled();
    derive.mockRestore();
    expect(listeners).toBe(0);
    expect(clock.sleepers).toBe(0);
  });
});

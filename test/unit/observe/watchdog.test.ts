import { expect, it } from 'vitest';
import { createWatchdog } from '../../../agent/observe/watchdog.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('the watchdog names the oldest pending call, and drops calls that have returned or failed', async () => {
  const clock = createVirtualClock();
  const watchdog = createWatchdog(clock);
  let answer: (text: string) => void = () => undefined;
  const reading = watchdog.during('reading', () => new Promise<string>((resolve) => (answer = resolve)));
  await clock.advance(3_000);
  let refuse: (error: Error) => void = () => undefined;
  const writing = watchdog.during('writing', () => new Promise<string>((_, reject) => (refuse = reject)));
  await clock.advance(2_000);
  expect(watchdog.conditions(5_000)).toEqual([]);
  expect(watchdog.conditions(4_999)).toMatchObject([{ reason: 'reading: not done after 5 s' }]);
  answer('done');
  expect(await reading).toBe('done');
  expect(watchdog.conditions(2_000)).toEqual([]);
  expect(watchdog.conditions(1_000)).toMatchObject([{ reason: 'writing: not done after 2 s' }]);
  refuse(new Error('refused'));
  await expect(writing).rejects.toThrow('refused');
  expect(watchdog.conditions(0)).toEqual([]);
});

it('a call that ends by itself does not hang before its bound, and is slow all the same', async () => {
  const clock = createVirtualClock();
  const watchdog = createWatchdog(clock);
  let answer = (): void => undefined;
  const checking = watchdog.during(
    'checking',
    () => new Promise<void>((resolve) => (answer = resolve)),
    600_000,
  );
  await clock.advance(1_000);
  const reading = watchdog.during('reading', () => new Promise<void>(() => undefined));
  expect(reading).toBeInstanceOf(Promise);
  await clock.advance(60_000);
  expect(watchdog.conditions(4_000)).toMatchObject([{ reason: 'checking: not done after 61 s' }]);
  expect(watchdog.hang(60_000)).toBeUndefined();
  await clock.advance(1_000);
  expect(watchdog.hang(60_000)).toBe('reading: not done after 61 s');
  await clock.advance(540_000);
  expect(watchdog.hang(60_000)).toBe('checking: not done after 602 s');
  answer();
  await checking;
  expect(watchdog.hang(60_000)).toBe('reading: not done after 601 s');
});

import { expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { createPace } from '../../../agent/base/pace.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('lets others have a turn when so much time has gone by since the last one', async () => {
  const clock = createVirtualClock();
  const pace = createPace(clock, 10);
  await clock.advance(9);
  expect(pace()).toBeUndefined();
  await clock.advance(1);
  const turn = pace();
  expect(turn).toBeInstanceOf(Promise);
  await clock.advance(0);
  await turn;
  expect(pace()).toBeUndefined();
});

it('lets a timer fire in the middle of long work', async () => {
  let fired = false;
  void systemClock.sleep(5).then(() => {
    fired = true;
  });
  const pace = createPace(systemClock, 10);
  const untilMs = systemClock.monotonicMs() + 5_000;
  while (!fired && systemClock.monotonicMs() < untilMs) await pace();
  expect(fired).toBe(true);
});

import { expect, it } from 'vitest';
import { systemClock } from '../../../agent/base/clock.ts';
import { createYieldTurn } from '../../../agent/base/yield-turn.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('yieldTurn yields when the slice has passed since the last yield, and not before', async () => {
  const clock = createVirtualClock();
  const yieldTurn = createYieldTurn(clock, 10);
  await clock.advance(9);
  expect(yieldTurn()).toBeUndefined();
  await clock.advance(1);
  const turn = yieldTurn();
  expect(turn).toBeInstanceOf(Promise);
  await clock.advance(0);
  await turn;
  expect(yieldTurn()).toBeUndefined();
});

it('yieldTurn lets a timer fire in the middle of long work', async () => {
  let fired = false;
  void systemClock.sleep(5).then(() => {
    fired = true;
  });
  const yieldTurn = createYieldTurn(systemClock, 10);
  const untilMs = systemClock.monotonicMs() + 5_000;
  while (!fired && systemClock.monotonicMs() < untilMs) await yieldTurn();
  expect(fired).toBe(true);
});

import { expect, it } from 'vitest';
import { createPulse } from '../../../agent/observe/pulse.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('names the oldest call that has not come back, and forgets what has, or has failed', async () => {
  const clock = createVirtualClock();
  const pulse = createPulse(clock);
  let answer: (text: string) => void = () => undefined;
  const reading = pulse.during('reading', () => new Promise<string>((resolve) => (answer = resolve)));
  await clock.advance(3_000);
  let refuse: (error: Error) => void = () => undefined;
  const writing = pulse.during('writing', () => new Promise<string>((_, reject) => (refuse = reject)));
  await clock.advance(2_000);
  expect(pulse.conditions(5_000)).toEqual([]);
  expect(pulse.conditions(4_999)).toMatchObject([{ reason: 'reading: not done after 5 s' }]);
  answer('done');
  expect(await reading).toBe('done');
  expect(pulse.conditions(2_000)).toEqual([]);
  expect(pulse.conditions(1_000)).toMatchObject([{ reason: 'writing: not done after 2 s' }]);
  refuse(new Error('refused'));
  await expect(writing).rejects.toThrow('refused');
  expect(pulse.conditions(0)).toEqual([]);
});

import { describe, expect, it } from 'vitest';
import { CheckPace } from '../../../agent/lease/check-pace.ts';
import { LIMITS } from '../../../agent/lease/limits.ts';
import { DATASTORE_BACKOFF } from '../../../agent/model/limits.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

describe('the pace of checks', () => {
  it('a check that another node demands is at once the first time, and later after a pause', async () => {
    const clock = createVirtualClock();
    const pace = new CheckPace(clock, () => 1);
    expect(pace.leftMs(true)).toBeLessThanOrEqual(0);
    pace.succeed(true);
    expect([pace.leftMs(true), pace.leftMs(false), pace.hasFailed]).toEqual([
      LIMITS.rewritePauseMs,
      0,
      false,
    ]);
    await clock.advance(LIMITS.rewritePauseMs);
    expect(pace.leftMs(true)).toBe(0);
  });

  it('a check that failed often is soon again where another node waits for it', () => {
    const pace = new CheckPace(createVirtualClock(), () => 1);
    for (let i = 0; i < 20; i++) pace.fail();
    expect([pace.leftMs(true), pace.leftMs(false)]).toEqual([
      DATASTORE_BACKOFF.maxMs,
      DATASTORE_BACKOFF.maxMs,
    ]);
    pace.hurry();
    expect(pace.leftMs(false)).toBe(LIMITS.rewritePauseMs);
    pace.succeed(false);
    expect([pace.hasFailed, pace.leftMs(false)]).toEqual([false, 0]);
  });
});

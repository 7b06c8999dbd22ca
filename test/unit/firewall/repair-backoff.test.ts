import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/firewall/limits.ts';
import { createRepairBackoff, type RepairBackoff } from '../../../agent/firewall/repair-backoff.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';

const { burst, pauseMs, leakMs } = LIMITS.repairBackoff;

function start() {
  const clock = createVirtualClock();
  const { log, lines } = captureLog('firewall');
  const backoff = createRepairBackoff({ clock, log });
  return { clock, lines, backoff };
}

/** The pause after each of `repairs` repairs in a row. */
function pausesOf(backoff: RepairBackoff, repairs: number): readonly number[] {
  return Array.from({ length: repairs }, () => {
    backoff.countRepair();
    return backoff.pauseMs;
  });
}

describe('createRepairBackoff', () => {
  it('the repair backoff keeps the shortest pause during a burst of repairs, and logs nothing', () => {
    const { backoff, lines } = start();
    expect(backoff.pauseMs).toBe(pauseMs);
    expect(pausesOf(backoff, burst).every((pause) => pause === pauseMs)).toBe(true);
    expect(lines).toEqual([]);
  });

  it('the repair backoff doubles the pause with each further repair up to the longest one, and warns once', () => {
    const { backoff, lines } = start();
    pausesOf(backoff, burst);
    expect(pausesOf(backoff, 3)).toEqual([2 * pauseMs, 4 * pauseMs, 8 * pauseMs]);
    expect(pausesOf(backoff, 2_000).at(-1)).toBe(leakMs);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/warn .* another program keeps changing .* longest_pause=10s/);
  });

  it('the repair backoff settles near the longest pause if repairs never end', async () => {
    const { backoff, clock, lines } = start();
    for (let repairs = 0; repairs < 500; repairs++) {
      backoff.countRepair();
      await clock.advance(backoff.pauseMs);
    }
    backoff.countRepair();
    expect(backoff.pauseMs).toBeGreaterThan(0.9 * leakMs);
    expect(lines).toHaveLength(1);
  });

  it('the repair backoff halves the pause as the counter leaks', async () => {
    const { backoff, clock } = start();
    pausesOf(backoff, burst + 2);
    expect(backoff.pauseMs).toBe(4 * pauseMs);
    await clock.advance(leakMs);
    expect(backoff.pauseMs).toBeCloseTo(2 * pauseMs);
    await clock.advance(leakMs);
    expect(backoff.pauseMs).toBeCloseTo(pauseMs);
    await clock.advance(3 * leakMs);
    expect(pausesOf(backoff, 3).every((pause) => pause === pauseMs)).toBe(true);
  });

  it('the repair backoff keeps the shortest pause if repairs come no faster than the counter leaks', async () => {
    const { backoff, clock, lines } = start();
    for (let repairs = 0; repairs < 500; repairs++) {
      expect(pausesOf(backoff, 1)).toEqual([pauseMs]);
      await clock.advance(leakMs);
    }
    expect(lines).toEqual([]);
  });

  it('the repair backoff warns again after the counter has leaked to zero', async () => {
    const { backoff, clock, lines } = start();
    pausesOf(backoff, burst + 2);
    await clock.advance((burst + 2) * leakMs);
    pausesOf(backoff, burst + 2);
    expect(lines).toHaveLength(2);
  });
});

import { describe, expect, it } from 'vitest';
import { createLogger } from '../../../agent/base/log.ts';
import { LIMITS } from '../../../agent/firewall/limits.ts';
import { createRepairPace, type RepairPace } from '../../../agent/firewall/repair-pace.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

const { repairsAtOnce, pauseMs, forgiveMs } = LIMITS.firewallFight;

function start() {
  const clock = createVirtualClock();
  const lines: string[] = [];
  const log = createLogger('firewall', 'info', (line) => lines.push(line));
  const pace = createRepairPace({ clock, log });
  return { clock, lines, pace };
}

/** The pauses after each of so many repairs in a row. */
function pausesOf(pace: RepairPace, repairs: number): readonly number[] {
  return Array.from({ length: repairs }, () => {
    pace.noticeRepair();
    return pace.pauseMs;
  });
}

describe('createRepairPace', () => {
  it('lets a burst of repairs be made at once, and says nothing', () => {
    const { pace, lines } = start();
    expect(pace.pauseMs).toBe(pauseMs);
    expect(pausesOf(pace, repairsAtOnce).every((pause) => pause === pauseMs)).toBe(true);
    expect(lines).toEqual([]);
  });

  it('doubles the pause with each further repair up to a longest one, and says so once', () => {
    const { pace, lines } = start();
    pausesOf(pace, repairsAtOnce);
    expect(pausesOf(pace, 3)).toEqual([2 * pauseMs, 4 * pauseMs, 8 * pauseMs]);
    expect(pausesOf(pace, 2_000).at(-1)).toBe(forgiveMs);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/warn .* another program keeps changing .* longest_pause=10s/);
  });

  it('comes to rest near its longest pause in a fight that does not end', async () => {
    const { pace, clock, lines } = start();
    for (let repairs = 0; repairs < 500; repairs++) {
      pace.noticeRepair();
      await clock.advance(pace.pauseMs);
    }
    pace.noticeRepair();
    expect(pace.pauseMs).toBeGreaterThan(0.9 * forgiveMs);
    expect(lines).toHaveLength(1);
  });

  it('forgives one repair after the other', async () => {
    const { pace, clock } = start();
    pausesOf(pace, repairsAtOnce + 2);
    expect(pace.pauseMs).toBe(4 * pauseMs);
    await clock.advance(forgiveMs);
    expect(pace.pauseMs).toBeCloseTo(2 * pauseMs);
    await clock.advance(forgiveMs);
    expect(pace.pauseMs).toBeCloseTo(pauseMs);
    await clock.advance(3 * forgiveMs);
    expect(pausesOf(pace, 3).every((pause) => pause === pauseMs)).toBe(true);
  });

  it('never slows down for repairs that are as far apart as it forgives them', async () => {
    const { pace, clock, lines } = start();
    for (let repairs = 0; repairs < 500; repairs++) {
      expect(pausesOf(pace, 1)).toEqual([pauseMs]);
      await clock.advance(forgiveMs);
    }
    expect(lines).toEqual([]);
  });

  it('tells of the next fight when the last one is forgiven', async () => {
    const { pace, clock, lines } = start();
    pausesOf(pace, repairsAtOnce + 2);
    await clock.advance((repairsAtOnce + 2) * forgiveMs);
    pausesOf(pace, repairsAtOnce + 2);
    expect(lines).toHaveLength(2);
  });
});

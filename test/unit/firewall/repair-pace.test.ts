import { describe, expect, it } from 'vitest';
import { createLogger } from '../../../agent/base/log.ts';
import { createRepairPace, type RepairPace } from '../../../agent/firewall/repair-pace.ts';
import { LIMITS } from '../../../agent/limits.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

const { repairsAtOnce, pauseMs, maxPauseMs, calmMs } = LIMITS.firewallFight;

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
    expect(pausesOf(pace, 2_000).at(-1)).toBe(maxPauseMs);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/warn .* another program keeps changing .* longest_pause=30s/);
  });

  it('stays slow while repairs come at its own slowest pace', async () => {
    const { pace, clock } = start();
    pausesOf(pace, 50);
    await clock.advance(maxPauseMs + 5_000);
    expect(pausesOf(pace, 1)).toEqual([maxPauseMs]);
  });

  it('is quick again after a time of calm', async () => {
    const { pace, clock, lines } = start();
    pausesOf(pace, 50);
    await clock.advance(calmMs + 1);
    expect(pace.pauseMs).toBe(pauseMs);
    expect(pausesOf(pace, 1)).toEqual([pauseMs]);
    pausesOf(pace, 50);
    expect(lines).toHaveLength(2);
  });
});

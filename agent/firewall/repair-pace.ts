// How soon the rules are looked at again. Repairs are made at once, but another program may insist on being first as
// much as we do: when they do not end, the pause between them grows, so that two programs never spin.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { LIMITS } from './limits.ts';

export interface RepairPace {
  /** Takes notice of a repair of what somebody else had changed; at most one a look. */
  noticeRepair(): void;
  /** How long to wait from the last look to the next one, in milliseconds. */
  readonly pauseMs: number;
}

/** A pace that was never disturbed; what it says of a fight goes to `log`, once a fight. */
export function createRepairPace({
  clock,
  log,
}: {
  readonly clock: Clock;
  readonly log: Logger;
}): RepairPace {
  const { repairsAtOnce, pauseMs, forgiveMs } = LIMITS.firewallFight;
  let unforgiven = 0;
  let atMs = 0;
  let isTold = false;
  const forgive = (): void => {
    const nowMs = clock.monotonicMs();
    unforgiven = Math.max(0, unforgiven - (nowMs - atMs) / forgiveMs);
    atMs = nowMs;
    if (unforgiven === 0) isTold = false;
  };
  return {
    noticeRepair() {
      forgive();
      unforgiven++;
      if (unforgiven <= repairsAtOnce || isTold) return;
      isTold = true;
      log.warn(
        'another program keeps changing our rules or their place; they are put back less and less often',
        {
          longest_pause: `${forgiveMs / 1000}s`,
        },
      );
    },
    get pauseMs() {
      forgive();
      // In a fight a repair is forgiven as soon as the next one is made: the pause comes to rest here by itself.
      return Math.min(forgiveMs, pauseMs * 2 ** Math.max(0, unforgiven - repairsAtOnce));
    },
  };
}

// How soon the rules are looked at again. Repairs are made at once, but another program may insist on being first as
// much as we do: when they do not end, the pause between them grows, so that two programs never spin.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { LIMITS } from '../limits.ts';

export interface RepairPace {
  /** Takes notice of a repair of what somebody else had changed. */
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
  let repairs = 0;
  let lastMs = 0;
  const { repairsAtOnce, pauseMs, maxPauseMs, calmMs } = LIMITS.firewallFight;
  const beyondBurst = (): number => {
    if (clock.monotonicMs() - lastMs > calmMs) repairs = 0;
    return Math.max(0, repairs - repairsAtOnce);
  };
  return {
    noticeRepair() {
      const before = beyondBurst();
      lastMs = clock.monotonicMs();
      repairs++;
      if (before === 0 && beyondBurst() === 1) {
        log.warn(
          'another program keeps changing our rules or their place; they are put back less and less often',
          {
            longest_pause: `${maxPauseMs / 1000}s`,
          },
        );
      }
    },
    get pauseMs() {
      return Math.min(maxPauseMs, pauseMs * 2 ** Math.min(beyondBurst(), 30));
    },
  };
}

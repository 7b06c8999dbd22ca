// Backs off from repairs. A repair is made at once, but another program may insist on the first place as we do. A leaky
// counter of repairs grows the pause between checks, so that two such programs never spin.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { LIMITS } from './limits.ts';

export interface RepairBackoff {
  /** Counts a repair of a foreign change. At most one for each check. */
  countRepair(): void;
  /** Pause between the last check and the next one, in milliseconds. */
  readonly pauseMs: number;
}

/**
 * A back-off with a counter of zero. It warns in `log` when the pause begins to grow, once until the counter is zero
 * again.
 */
export function createRepairBackoff({
  clock,
  log,
}: {
  readonly clock: Clock;
  readonly log: Logger;
}): RepairBackoff {
  const { burst, pauseMs, leakMs } = LIMITS.repairBackoff;
  let counter = 0;
  let leakedAtMs = 0;
  let hasWarned = false;
  const leak = (): void => {
    const nowMs = clock.monotonicMs();
    counter = Math.max(0, counter - (nowMs - leakedAtMs) / leakMs);
    leakedAtMs = nowMs;
    if (counter === 0) hasWarned = false;
  };
  return {
    countRepair() {
      leak();
      counter++;
      if (counter <= burst || hasWarned) return;
      hasWarned = true;
      log.warn(
        'another program keeps changing our rules or their place; they are repaired less and less often',
        {
          longest_pause: `${leakMs / 1000}s`,
        },
      );
    },
    get pauseMs() {
      leak();
      // At a pause of `leakMs` one repair leaks before the next one is counted, so the counter grows no further.
      return Math.min(leakMs, pauseMs * 2 ** Math.max(0, counter - burst));
    },
  };
}

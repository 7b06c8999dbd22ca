// Notices that the machine was suspended: no timer of ours ran out in that time, but leases did.
import type { Clock } from '../base/clock.ts';
import { LIMITS } from './limits.ts';

/**
 * Calls `onWake` with the time that the machine was suspended for, in milliseconds, each time, until `signal` is
 * aborted.
 */
export async function watchSuspension(
  clock: Clock,
  onWake: (asleepMs: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const ahead = (): number => clock.bootMs() - clock.monotonicMs();
  for (let before = ahead(); ; ) {
    await clock.sleep(LIMITS.suspensionLookMs, signal);
    const asleepMs = ahead() - before;
    if (asleepMs < LIMITS.suspensionMs) continue;
    before += asleepMs;
    onWake(asleepMs);
  }
}

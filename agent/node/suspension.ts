// Notices that the machine was suspended. Our timers stand still meanwhile, but leases expire.
import type { Clock } from '../base/clock.ts';
import { LIMITS } from './limits.ts';

/** Calls `onWake` after each suspension with its length in milliseconds, until `signal` is aborted. */
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

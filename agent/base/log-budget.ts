// Limits the log lines that others can cause, such as whoever may write the datastore: a flood fills no disk, and hides
// no news for longer than one period.
import type { Clock } from './clock.ts';

export interface LogBudgetOptions {
  readonly clock: Clock;
  /** Lines in one period. */
  readonly lines: number;
  readonly periodMs: number;
  /** Logs that further lines of this period are counted alone. */
  readonly onFull: () => void;
  /** Logs the number of those lines. It is called before the first line of a later period. */
  readonly onRest: (lines: number) => void;
}

/** A function that calls `write`, or counts it where the period has no line left. */
export function createLogBudget({ clock, lines, periodMs, onFull, onRest }: LogBudgetOptions) {
  let beganMs = Number.NEGATIVE_INFINITY;
  let wanted = 0;
  return (write: () => void): void => {
    const nowMs = clock.monotonicMs();
    if (nowMs - beganMs >= periodMs) {
      if (wanted > lines) onRest(wanted - lines);
      beganMs = nowMs;
      wanted = 0;
    }
    wanted += 1;
    if (wanted <= lines) write();
    else if (wanted === lines + 1) onFull();
  };
}

// A logger whose lines a test can read.
import { createLogger, type Logger, type LogLevel } from '../../agent/base/log.ts';

export interface CapturedLog {
  readonly log: Logger;
  /** Grows by each event: `info  lease: took 10.5.34.0/24`, without the time. */
  readonly lines: string[];
}

/** Creates a logger for one component, with a list in place of stderr. */
export function captureLog(component: string, level: LogLevel = 'info'): CapturedLog {
  const lines: string[] = [];
  return {
    lines,
    log: createLogger(component, { level, format: 'text' }, (line) => lines.push(line.replace(/^\S+ /, ''))),
  };
}

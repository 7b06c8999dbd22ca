// The events of a simulation, line by line. It keeps the last lines for people, and a digest of all lines to compare
// two runs of one seed.
import type { Logger } from '../../agent/base/log.ts';

/** Lines shown of a failed run. */
const SHOWN = 60;

export interface Trace {
  note(who: string, what: string): void;
  /** A logger whose lines join the trace, for one node. */
  logger(who: string): Logger;
  /** The last lines, oldest first. */
  last(): readonly string[];
  /** The digest of all lines so far. */
  digest(): string;
}

/** Creates a trace. It calls `show` with every line when it happens. */
export function createTrace(nowMs: () => number, show?: (line: string) => void): Trace {
  let lines: string[] = [];
  let hash = 0x811c9dc5;
  const note = (who: string, what: string): void => {
    const line = `${(nowMs() / 1_000).toFixed(3)} ${who} ${what}`;
    // FNV-1a, because it is cheap: a longer digest would cost more than the simulation.
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
    show?.(line);
    lines.push(line);
    if (lines.length > 4 * SHOWN) lines = lines.slice(-SHOWN);
  };
  return {
    note,
    logger(who) {
      const make = (component: string): Logger => ({
        debug: () => undefined,
        info: (message) => note(who, `info  ${component}: ${message}`),
        warn: (message) => note(who, `warn  ${component}: ${message}`),
        error: (message) => note(who, `error ${component}: ${message}`),
        for: make,
      });
      return make('twill');
    },
    last: () => lines.slice(-SHOWN),
    digest: () => (hash >>> 0).toString(16).padStart(8, '0'),
  };
}

// The demo's output: numbered steps, each with the time of its end, and a table of times.
import { systemClock } from '../../agent/base/clock.ts';
import type { PingResult } from './ping.ts';

const TITLE_WIDTH = 13;
/** Column at which the time of a step ends. */
const TIME_COLUMN = 96;
/** From this many containers on, the table of times has narrower columns. */
const MANY = 9;

export interface Screen {
  /** A line of its own. */
  line(text?: string): void;
  /** Begins the next step: prints its number, its name and its text, with the time since the start. */
  step(name: string, text: string): void;
  /** One more line of the step, with the time. */
  detail(text: string): void;
  /** One more line of the step, quoted from the kernel, without a time. */
  quote(text: string): void;
  /** Milliseconds since the start. */
  elapsedMs(): number;
}

/** Creates a screen that writes to `write`; `colours` dims secondary text. */
export function createScreen(write: (text: string) => void, colours: boolean): Screen {
  const startMs = systemClock.monotonicMs();
  let steps = 0;
  const dim = (text: string): string => (colours ? `\u001b[2m${text}\u001b[0m` : text);
  const elapsedMs = (): number => systemClock.monotonicMs() - startMs;
  const timed = (text: string): void => {
    write(`${text.padEnd(TIME_COLUMN - 8)}${dim(formatSeconds(elapsedMs()).padStart(8))}\n`);
  };
  const indent = ' '.repeat(5 + TITLE_WIDTH);
  return {
    elapsedMs,
    line: (text = '') => write(`${text}\n`),
    step: (name, text) => {
      steps += 1;
      timed(`  ${steps}  ${name.padEnd(TITLE_WIDTH)}${text}`);
    },
    detail: (text) => timed(`${indent}${text}`),
    quote: (text) => write(`${indent}${text}\n`),
  };
}

/** `1.23 s`. */
export function formatSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

/** The lines of a table of times: from the container of the row to the one of the column. */
export function formatMatrix(
  names: readonly string[],
  matrix: readonly (readonly (PingResult | undefined)[])[],
): string[] {
  const digits = names.length > MANY ? 2 : 3;
  const width = names.length > MANY ? 6 : 8;
  const left = Math.max(...names.map(({ length }) => length));
  const cell = (result: PingResult | undefined): string => {
    if (result === undefined) return '·';
    return result.averageMs === undefined || result.received < result.sent
      ? 'LOST'
      : result.averageMs.toFixed(digits);
  };
  return [
    ' '.repeat(left) + names.map((name) => name.padStart(width)).join(''),
    ...matrix.map(
      (row, index) =>
        (names[index] ?? '').padEnd(left) + row.map((result) => cell(result).padStart(width)).join(''),
    ),
  ];
}

// The report of a failed command: one line with the attempt, a second one with a hint, and the exit code of the error's
// kind. A stack only for an internal error with the full log. In JSON it is one line.
import { EXIT_CODES, messageOf, TwillError } from '../base/errors.ts';
import { LOG_FORMATS, type LogOptions } from '../base/log.ts';
import { printable, printableLines } from '../base/printable.ts';

const PROGRAM = 'twill';
// The journal's mark of an error.
const ERROR_MARK = '<3>';

/** The text for stderr, with its line ends, and the exit code. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/** Describes anything thrown, at `time` in RFC 3339. The full log adds the stack of an internal error. */
export function describeFailure(thrown: unknown, { level, format }: LogOptions, time: string): Failure {
  const known = thrown instanceof TwillError && thrown.code !== 'internal' ? thrown : undefined;
  const exitCode = EXIT_CODES[known?.code ?? 'internal'];
  const message = `${known === undefined ? 'internal error: ' : ''}${messageOf(thrown)}`;
  const hint = known?.hint;
  const stack =
    known === undefined && level === 'debug' && thrown instanceof Error ? thrown.stack : undefined;
  if (format === 'json') {
    const fields = { hint, stack, exit_code: exitCode };
    const line = LOG_FORMATS.json({ time, level: 'error', part: PROGRAM, message, fields });
    return { text: `${line}\n`, exitCode };
  }
  const lines = [`${PROGRAM}: ${printable(message)}`];
  if (hint !== undefined) lines.push(`hint: ${printable(hint)}`);
  if (stack !== undefined) lines.push(...printableLines(stack).split('\n'));
  const mark = format === 'journal' ? ERROR_MARK : '';
  return { text: lines.map((line) => `${mark}${line}\n`).join(''), exitCode };
}

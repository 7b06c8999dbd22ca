// The report of a failed command: one line with the attempt, a second one with a hint, and the exit code of the error's
// kind. A stack only for an internal error with the full log.
import { EXIT_CODES, messageOf, TwillError } from '../base/errors.ts';
import { printable, printableLines } from '../base/printable.ts';

/** The text for stderr, with its line ends, and the exit code. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/** Describes anything thrown. `verbose` adds the stack of an internal error. */
export function describeFailure(thrown: unknown, verbose: boolean): Failure {
  if (thrown instanceof TwillError && thrown.code !== 'internal') {
    const hint = thrown.hint === undefined ? '' : `hint: ${printable(thrown.hint)}\n`;
    return { text: `twill: ${printable(messageOf(thrown))}\n${hint}`, exitCode: EXIT_CODES[thrown.code] };
  }
  const stack = verbose && thrown instanceof Error ? `${printableLines(thrown.stack ?? '')}\n` : '';
  return {
    text: `twill: internal error: ${printable(messageOf(thrown))}\n${stack}`,
    exitCode: EXIT_CODES.internal,
  };
}

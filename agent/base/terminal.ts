// Colours for a terminal. Text passes `printable` here, because colour codes could not pass it later.
import { printable } from './printable.ts';

/** A line and its meaning. Each bad line says so in words or by a sign too. */
export interface Line {
  readonly text: string;
  /** Default: plain. */
  readonly tone?: 'good' | 'warn' | 'bad' | 'weak' | undefined;
}

const CODES = { good: 32, warn: 33, bad: 31, weak: 2 } as const;
const CLEAR = '\u001b[H\u001b[J';

/** Text for a terminal. `clears`: it begins at the top of an empty screen. */
export function paint(
  lines: readonly Line[],
  options: { readonly clears: boolean; readonly colours: boolean },
): string {
  const drawn = lines.map(({ text, tone }) => {
    const clean = printable(text);
    return tone === undefined || !options.colours
      ? `${clean}\n`
      : `\u001b[${CODES[tone]}m${clean}\u001b[0m\n`;
  });
  return `${options.clears ? CLEAR : ''}${drawn.join('')}`;
}

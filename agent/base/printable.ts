// Makes foreign text safe for a terminal and a log. All text that leaves the program passes through this file last.

// Characters that break the line, control a terminal, are invisible, look like a blank, or change the order of text,
// and halves of characters. U+2800 is Braille without a dot.
const CLASS = '[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Z}\\p{Default_Ignorable_Code_Point}\\u2800]';
const UNPRINTABLE = new RegExp(`(?! )${CLASS}`, 'gu');
const UNPRINTABLE_RUN = new RegExp(`(?:(?! )${CLASS})+`, 'gu');
// Line ends and tabs stand between the words of JSON, where they cannot be escaped.
const UNPRINTABLE_IN_LINES = new RegExp(`(?![ \\n\\t])${CLASS}`, 'gu');

/** Longest message or value of a line, in characters. */
const MAX_LENGTH = 4_000;

/** One line: each run of unprintable characters becomes one space. A text that nobody would read to its end is cut. */
export function printable(text: string): string {
  return shorten(text).replaceAll(UNPRINTABLE_RUN, ' ');
}

/** Formats a value as JSON with unprintable characters escaped. JSON.parse reads it back. */
export function printableJson(value: unknown): string {
  return escapeUnprintable(JSON.stringify(value) ?? String(value));
}

/** Several lines with unprintable characters escaped. JSON text stays JSON text with the same value. */
export function printableLines(text: string): string {
  return text
    .split('\r\n')
    .map((part) => part.replaceAll('\r', '\n').replaceAll(UNPRINTABLE_IN_LINES, escaped))
    .join('\r\n');
}

/** Writes each unprintable character as `\uXXXX`, so that a reader sees it. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(UNPRINTABLE, escaped);
}

function escaped(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}

/** Cuts a text that nobody would read to its end. */
export function shorten(text: string): string {
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH)}…`;
}

// Text of others on its way to a terminal or a log: it stays on its line and shows itself as it is.

// What would break the line, steer a terminal, or show text in another order than it has: controls of both
// tables, marks of direction and other invisible ones, line and paragraph separators.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_RUN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** The text with each run of unprintable characters as one space. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE_RUN, ' ');
}

/** The value as JSON with unprintable characters escaped, so that it can be read back. */
export function printableJson(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.replaceAll(UNPRINTABLE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

// Makes foreign text safe for a terminal and a log.

// Characters that break the line, control a terminal, are invisible or change the order of text.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const UNPRINTABLE_RUN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;

/** Replaces each run of unprintable characters by one space. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE_RUN, ' ');
}

/** Formats a value as JSON with unprintable characters escaped. JSON.parse reads it back. */
export function printableJson(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.replaceAll(UNPRINTABLE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

// Makes foreign text safe for a terminal and a log.

// Characters that break the line, control a terminal, are invisible, look like a blank or change the order of text.
const UNPRINTABLE = /(?! )[\p{Cc}\p{Cf}\p{Z}]/gu;
const UNPRINTABLE_RUN = /(?:(?! )[\p{Cc}\p{Cf}\p{Z}])+/gu;

/** Replaces each run of unprintable characters by one space. */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE_RUN, ' ');
}

/** Formats a value as JSON with unprintable characters escaped. JSON.parse reads it back. */
export function printableJson(value: unknown): string {
  return escapeUnprintable(JSON.stringify(value) ?? String(value));
}

/** Writes each unprintable character as `\uXXXX`, so that a reader sees it. */
export function escapeUnprintable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

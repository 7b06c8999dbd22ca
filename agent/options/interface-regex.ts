// Compiles the regular expressions of `--iface-regex`, which are in Go's syntax. A few of its forms would silently mean
// something else in JavaScript; those are translated.

const POSIX_CLASSES: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  punct: '!-\\/:-@\\[-`\\{-~',
  space: '\\t-\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

/** Compiles a regular expression of Go's syntax. Undefined: it is invalid, or has an unknown form. */
export function parseInterfaceRegex(source: string): RegExp | undefined {
  const insensitive = source.startsWith('(?i)');
  const translated = (insensitive ? source.slice(4) : source)
    .replaceAll(/\[:(\w+):\]/g, (whole, name: string) => POSIX_CLASSES[name] ?? whole)
    .replaceAll('(?P<', '(?<')
    // Go accepts an escape of any punctuation, the strict mode only of syntax characters.
    .replaceAll(/\\([^])/g, (escape, character: string) =>
      /[\w\s\\^$.*+?()[\]{}|/]/.test(character) ? escape : hexEscape(character),
    );
  try {
    // The strict mode (`u`) refuses an unknown escape such as `\A` instead of reading it as a letter.
    return new RegExp(translated, insensitive ? 'iu' : 'u');
  } catch {
    return undefined;
  }
}

function hexEscape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

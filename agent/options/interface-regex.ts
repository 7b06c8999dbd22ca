// Regular expressions of `--iface-regex` are written for Go's syntax. The two agree on what people write, but for
// a few forms that here would mean something else without a complaint; those are translated.

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

/** Compiles a regular expression of Go's syntax. Undefined: it is none, or has a form that is not known here. */
export function parseInterfaceRegex(source: string): RegExp | undefined {
  const insensitive = source.startsWith('(?i)');
  const translated = (insensitive ? source.slice(4) : source)
    .replaceAll(/\[:(\w+):\]/g, (whole, name: string) => POSIX_CLASSES[name] ?? whole)
    .replaceAll('(?P<', '(?<')
    // Go lets any punctuation be escaped; the strict mode here only what has a meaning.
    .replaceAll(/\\([^])/g, (escape, character: string) =>
      /[\w\s\\^$.*+?()[\]{}|/]/.test(character) ? escape : hexEscape(character),
    );
  try {
    // The strict mode (`u`) refuses unknown escapes such as `\A` instead of taking them for a letter.
    return new RegExp(translated, insensitive ? 'iu' : 'u');
  } catch {
    return undefined;
  }
}

function hexEscape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

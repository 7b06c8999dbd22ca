// Parses a file of variables as a shell would read it, or systemd as an EnvironmentFile. Nothing is ever executed: the
// variable of a value that a shell would have to expand is left out, and a command assigns nothing.

// A word is made of text, quotes and escapes. All alternatives begin differently, so that a match takes linear time.
const WORD = String.raw`(?:'[^']*'|"(?:\\[^]|[^"\\])*"|\\(?:\r?\n|[^])|[^\s'"\\;&|<>()])+`;
const CONTINUATION = String.raw`\\\r?\n`;
const TOKEN = new RegExp(
  [
    String.raw`(?<blank>(?:${CONTINUATION}|[^\S\n])+)`,
    String.raw`(?<comment>#[^\n]*|(?<=^[^\S\n]*);[^\n]*)`,
    String.raw`(?<end>[\n;])`,
    `(?<word>${WORD})`,
    '[^]',
  ].join('|'),
  'gmu',
);
const ASSIGNMENT = /^([A-Za-z_]\w*)=([^]*)$/;
const QUOTED = /'([^']*)'|"((?:\\[^]|[^"\\])*)"|\\(\r?\n|[^])/g;
const EXPANSION = /[$`]/;
// In double quotes a backslash stays where it escapes nothing.
const ESCAPE_IN_QUOTES = /\\(\r?\n|[$`"\\])/g;

/** The variables that the text assigns, by name. Of several values of one name, the last one counts. */
export function parseEnvironmentFile(text: string): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  let words: string[] = [];
  let isPlain = true;
  const assign = (): void => {
    const [first, ...rest] = words;
    const isExport = first === 'export' || first === 'readonly';
    const assignments = (isExport ? rest : words).map((word) => ASSIGNMENT.exec(word));
    // `A=1 true` sets A for one command alone.
    const isCommand = isPlain && assignments.includes(null);
    for (const found of isCommand ? [] : assignments) {
      if (found === null) break;
      const [, name = '', raw = ''] = found;
      const value = isPlain ? unquote(raw) : undefined;
      if (value === undefined) variables.delete(name);
      else variables.set(name, value);
    }
    [words, isPlain] = [[], true];
  };
  for (const { groups = {} } of text.matchAll(TOKEN)) {
    const { blank, comment, end, word } = groups;
    if (word !== undefined) words.push(word);
    else if (end !== undefined) assign();
    // An operator of the shell, or an open quote.
    else if (blank === undefined && comment === undefined) isPlain = false;
  }
  assign();
  return variables;
}

// Undefined: a shell would expand it.
function unquote(raw: string): string | undefined {
  let isExpanded = EXPANSION.test(raw.replaceAll(QUOTED, ''));
  const value = raw.replaceAll(QUOTED, (_, single?: string, double?: string, escaped?: string) => {
    if (single !== undefined) return single;
    if (double === undefined) return escaped === undefined || escaped.endsWith('\n') ? '' : escaped;
    isExpanded ||= EXPANSION.test(double.replaceAll(ESCAPE_IN_QUOTES, ''));
    return double.replaceAll(ESCAPE_IN_QUOTES, (__, character: string) =>
      character.endsWith('\n') ? '' : character,
    );
  });
  return isExpanded ? undefined : value;
}

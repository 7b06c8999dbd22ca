// Finds comments and Markdown texts that are too wide to read. Tables, code blocks and links cannot be wrapped, so they
// are exempt.
import type { Source } from './source.ts';

const TABLE = /^\s*\|/;
const INDENTED_CODE = /^ {4}/;
const FENCE = /^\s*```/;
// The target of a Markdown link, or a bare address.
const LINK = /\]\([^)]*\)|https?:\/\/\S+/g;

function isWide(line: string, columns: number): boolean {
  return line.replaceAll(LINK, '').length > columns;
}

/** Lines with a part of a comment that are wider than `columns`, as `path:line`. */
export function wideComments({ path, text, comments }: Source, columns: number): readonly string[] {
  const found: string[] = [];
  let start = 0;
  for (const [index, line] of text.split('\n').entries()) {
    const end = start + line.length;
    if (isWide(line, columns) && comments.some(([from, to]) => from < end && to > start)) {
      found.push(`${path}:${index + 1}`);
    }
    start = end + 1;
  }
  return found;
}

/** Lines of a Markdown text that are wider than `columns`, as `path:line`. */
export function wideMarkdown(path: string, text: string, columns: number): readonly string[] {
  let isCode = false;
  return text.split('\n').flatMap((line, index) => {
    if (FENCE.test(line)) isCode = !isCode;
    const isExempt = isCode || TABLE.test(line) || INDENTED_CODE.test(line);
    return !isExempt && isWide(line, columns) ? [`${path}:${index + 1}`] : [];
  });
}

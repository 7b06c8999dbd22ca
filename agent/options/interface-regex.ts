// The regular expressions of `--iface-regex`. Their syntax and meaning are those of Go's package regexp: RE2, which
// takes linear time. JavaScript's own expressions would refuse some of them, and give others another meaning.
import { TwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';

/** A regular expression on names and addresses. */
export type InterfaceRegex = Pick<RegExp, 'source' | 'test'>;

/**
 * Compiles a regular expression. `where` starts the message of a refusal. Fails as `usage`, and then names the wrong
 * part. The library is loaded at the first call: it takes 7 MiB and 20 ms.
 */
export async function parseInterfaceRegex(source: string, where: string): Promise<InterfaceRegex> {
  const { RE2JS, RE2JSSyntaxException } = await import('re2js');
  try {
    const compiled = RE2JS.compile(source);
    return { source, test: (text) => compiled.test(text) };
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    const part = error.input ? ` in ${excerpt(error.input)}` : '';
    throw new TwillError(
      'usage',
      `${where}: must be a regular expression in Go's syntax, is ${excerpt(source)}: ${error.error}${part}`,
    );
  }
}

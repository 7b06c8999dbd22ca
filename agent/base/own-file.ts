// Reads files of this program that decide about much: only one that nobody else can have written is believed.
import { asTwillError, errnoOf, TwillError } from './errors.ts';
import { readFileStart } from './read-file.ts';

/** The mode of such a file. */
export const OWN_FILE_MODE = 0o600;

/**
 * The text of a regular file of our own user with mode 0600, which no link leads to; undefined: there is none. Fails as
 * `host` where it is another file, or longer than `maxBytes`.
 */
export async function readOwnFile(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const { bytes, isPart, stats } = await readFileStart(path, { maxBytes, followLink: false });
    if (stats.uid !== process.geteuid?.()) throw notBelieved(path, `its owner is user ${stats.uid}`);
    const mode = stats.mode & 0o7777;
    if (mode !== OWN_FILE_MODE) throw notBelieved(path, `its mode is ${mode.toString(8)}`);
    if (isPart) throw notBelieved(path, `it is longer than ${maxBytes} bytes`);
    return bytes.toString();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw asTwillError(error, 'host', `cannot read ${path}`);
  }
}

/** The error of a file that is not to be believed. */
export function notBelieved(path: string, why: string): TwillError {
  return new TwillError('host', `${path} is not believed: ${why}`);
}

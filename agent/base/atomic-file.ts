// Replaces files that other programs read at the same time: a reader sees the old content or the new one, never a part.
import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, reasonOf, TwillError } from './errors.ts';

const FOLDER_MODE = 0o755;

/**
 * Replaces the file at `path` by `text`, with exactly the given mode. Makes its folder (0755) when missing.
 *
 * On any failure, a full disk included, the old file stays as it was. Fails as `host`.
 */
export async function writeFileAtomic(path: string, text: string, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await makeFolder(dirname(path), FOLDER_MODE);
    const file = await open(temporary, 'w', mode);
    try {
      await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw refusal(path, error);
  }
}

/** Fails as `host` if `writeFileAtomic` could not write to `path`. Leaves nothing behind but the folder. */
export async function assertWritable(path: string): Promise<void> {
  const probe = join(dirname(path), `.${basename(path)}.${process.pid}.probe`);
  try {
    await makeFolder(dirname(path), FOLDER_MODE);
    await (await open(probe, 'wx', 0o600)).close();
    await unlink(probe);
    if (await isFolder(path)) throw new Error('is a directory');
  } catch (error) {
    throw refusal(path, error);
  }
}

/**
 * Makes a folder and the folders that it is in; one that exists stays as it is. Fails with the error of the system
 * call, and names the folder that could not be made.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  // Node's own recursive mkdir answers ENOENT on a read-only file system, and never ends below /proc.
  try {
    await mkdir(path, mode).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await makeFolder(dirname(path), mode);
      await mkdir(path, mode);
    });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && (await isFolder(path))) return;
    // The error of a parent says enough.
    if (error instanceof Error && error.cause !== undefined) throw error;
    const named = new Error(`cannot make the folder ${path}: ${reasonOf(error)}`, { cause: error });
    throw Object.assign(named, { code: errnoOf(error) });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

function refusal(path: string, thrown: unknown): TwillError {
  const errno = errnoOf(thrown);
  return new TwillError('host', `cannot write ${path}: ${reasonOf(thrown)}`, {
    cause: thrown,
    ...(errno === undefined ? {} : { errno }),
    ...(errno === 'EROFS' ? { hint: READ_ONLY } : {}),
  });
}

const READ_ONLY = 'mount a writable file system there, such as a tmpfs, or choose another path';

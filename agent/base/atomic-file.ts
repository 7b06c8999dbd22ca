// Replaces files that other programs read at the same time: a reader sees the old content or the new one, never a part.
import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, reasonOf, TwillError } from './errors.ts';

/**
 * Replaces the file at `path` by `text`, with exactly the given mode. Makes its folder (0755) when missing.
 *
 * On any failure, a full disk included, the old file stays as it was. Fails as `host`.
 */
export async function writeFileAtomic(path: string, text: string, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await makeFolder(dirname(path));
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
    await makeFolder(dirname(path));
    await (await open(probe, 'wx', 0o600)).close();
    await unlink(probe);
    if (await isFolder(path)) throw new Error('is a directory');
  } catch (error) {
    throw refusal(path, error);
  }
}

// Node's own recursive mkdir says ENOENT on a read-only file system, and never ends below /proc.
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, 0o755).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await makeFolder(dirname(path));
      await mkdir(path, 0o755);
    });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && (await isFolder(path))) return;
    if (error instanceof TwillError) throw error;
    throw hostError(`cannot make the folder ${path}: ${reasonOf(error)}`, error);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

function refusal(path: string, thrown: unknown): TwillError {
  return hostError(`cannot write ${path}: ${reasonOf(thrown)}`, thrown);
}

function hostError(message: string, thrown: unknown): TwillError {
  const errno = errnoOf(thrown);
  return new TwillError('host', message, {
    cause: thrown,
    ...(errno === undefined ? {} : { errno }),
    ...(errno === 'EROFS' ? { hint: READ_ONLY } : {}),
  });
}

const READ_ONLY = 'mount a writable file system there, such as a tmpfs, or choose another path';

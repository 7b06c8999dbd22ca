// Replaces files that other programs read at the same time: a reader sees the old content or the new one, never a part.
//
// Others may write the folder. So a temporary file has a name that nobody can guess, and it is never an existing file.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemClock } from './clock.ts';
import { errnoOf, reasonOf, TwillError } from './errors.ts';

const FOLDER_MODE = 0o755;
const TEMPORARY = /^\.(.+)\.[\da-f]{16}\.tmp$/;
// A temporary file of this age belongs to a dead process.
const LEFT_BEHIND_MS = 60_000;

/**
 * Replaces the file at `path` by `text`, with exactly the given mode. Makes its folder (0755) when missing.
 *
 * On any failure, a full disk included, the old file stays as it was. Fails as `host`.
 */
export async function writeFileAtomic(path: string, text: string, mode: number): Promise<void> {
  try {
    await makeFolder(dirname(path), FOLDER_MODE);
    await withTemporary(path, async (file, temporary) => {
      await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
      await rename(temporary, path);
    });
  } catch (error) {
    throw refusal(path, error);
  }
}

/**
 * Fails as `host` if `writeFileAtomic` could not write to `path`. Leaves nothing behind but the folder, and removes
 * what killed processes left of this file and of files whose names go on after its name and a dot.
 */
export async function assertWritable(path: string): Promise<void> {
  try {
    await makeFolder(dirname(path), FOLDER_MODE);
    await withTemporary(path, (_, temporary) => unlink(temporary));
    if (await isFolder(path)) throw new Error('is a directory');
    await removeLeftBehind(path);
  } catch (error) {
    throw refusal(path, error);
  }
}

// Makes the temporary file, which `work` renames or removes. It is removed when that fails.
async function withTemporary(
  path: string,
  work: (file: FileHandle, temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  await using file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    await work(file, temporary);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

async function removeLeftBehind(path: string): Promise<void> {
  const folder = dirname(path);
  const start = `${basename(path)}.`;
  for (const name of await readdir(folder).catch(() => [])) {
    const found = TEMPORARY.exec(name)?.[1];
    if (found === undefined || !`${found}.`.startsWith(start)) continue;
    const stats = await lstat(join(folder, name)).catch(() => undefined);
    if (stats?.isFile() !== true || stats.uid !== process.geteuid?.()) continue;
    if (systemClock.wallMs() - stats.mtimeMs < LEFT_BEHIND_MS) continue;
    await unlink(join(folder, name)).catch(() => undefined);
  }
}

/**
 * Makes a folder with exactly the given mode, and the folders that it is in; one that exists stays as it is. Fails with
 * the error of the system call, and names the folder that could not be made.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  // Node's own recursive mkdir answers ENOENT on a read-only file system, and never ends below /proc.
  try {
    await mkdir(path, mode).catch(async (error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
      await makeFolder(dirname(path), mode);
      await mkdir(path, mode);
    });
    // The umask may have taken permissions away.
    await using folder = await open(path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
    await folder.chmod(mode);
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

// Replaces files that other programs read at the same time: a reader sees the old content or the new one, never a part.
import { mkdir, open, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asTwillError } from './errors.ts';

/**
 * Replaces the file at `path` by `text`, with exactly the given mode. Makes its folder (0755) when missing.
 *
 * On any failure, a full disk included, the old file stays as it was. Fails as `host`.
 */
export async function writeFileAtomic(path: string, text: string, mode: number): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
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
    throw asTwillError(error, 'host', `cannot write ${path}`);
  }
}

/** Fails as `host` if `writeFileAtomic` could not write to `path`. Leaves nothing behind but the folder. */
export async function assertWritable(path: string): Promise<void> {
  const probe = join(dirname(path), `.${basename(path)}.${process.pid}.probe`);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 });
    await (await open(probe, 'wx', 0o600)).close();
    await unlink(probe);
    if ((await stat(path).catch(() => undefined))?.isDirectory() === true) throw new Error('is a directory');
  } catch (error) {
    throw asTwillError(error, 'host', `cannot write ${path}`);
  }
}

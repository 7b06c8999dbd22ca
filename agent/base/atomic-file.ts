// Files that others read while we replace them: they see the old content or the new one, never a part.
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asTwillError } from './errors.ts';

/**
 * Replaces the file at `path` by `text`, with exactly the given mode, and makes its folder (0755) when missing.
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

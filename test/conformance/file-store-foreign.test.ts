// Foreign things in the folder of a file store: each ends in one line, soon, and reads nothing large.
import { execFileSync } from 'node:child_process';
import { chown, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { openFileKv } from '../../agent/datastore/file-kv.ts';
import { LIMITS } from '../../agent/datastore/limits.ts';
import type { Kv } from '../../agent/model/kv.ts';

const REVISION = 'rev-000000000099.json';
const isRoot = process.geteuid?.() === 0;

/** A store in a folder of its own. */
async function store(): Promise<{ readonly directory: string; readonly kv: Kv }> {
  const parent = await mkdtemp(join(tmpdir(), 'tw-store-'));
  const directory = join(parent, 'store');
  const kv = await openFileKv({ directory, clock: systemClock, random: systemRandom });
  onTestFinished(async () => {
    await kv[Symbol.asyncDispose]();
    await rm(parent, { recursive: true, force: true });
  });
  return { directory, kv };
}

describe('a foreign thing in the folder of a store', () => {
  it.each([
    [
      'a pipe',
      async (path: string): Promise<void> => void execFileSync('mkfifo', [path]),
      'it is no regular file',
    ],
    ['a folder', (path: string) => mkdir(path), 'it is no regular file'],
    ['a symbolic link', (path: string) => symlink('/etc/passwd', path), 'it is a symbolic link'],
    [
      'a file of 100 MB',
      async (path: string) => {
        await writeFile(path, '');
        await truncate(path, 100_000_000);
      },
      `it is longer than ${LIMITS.fileStoreBytes} bytes`,
    ],
  ] as const)('%s in place of the latest revision is refused in one line', async (_, make, words) => {
    const { directory, kv } = await store();
    const path = join(directory, REVISION);
    await make(path);
    await expect(kv.list('/')).rejects.toMatchObject({
      code: 'datastore',
      message: `${path}: ${words}`,
      hint: expect.stringContaining(directory),
    });
  });

  it.each([
    ['a pipe', async (path: string): Promise<void> => void execFileSync('mkfifo', [path])],
    ['a symbolic link', (path: string) => symlink('/dev/zero', path)],
    ['a folder', (path: string) => mkdir(path)],
  ] as const)('%s in place of a session is no session', async (_, make) => {
    const { directory, kv } = await store();
    await make(join(directory, 'sessions', 'foreign'));
    expect(await kv.keepAlive('foreign')).toBeUndefined();
    expect(await kv.create('/a', 'x', 'foreign')).toBeUndefined();
    expect(await kv.openSession(60)).toBeDefined();
  });

  it('a session with a long content fails as `datastore`', async () => {
    const { directory, kv } = await store();
    const session = await kv.openSession(60);
    await truncate(join(directory, 'sessions', session), 100_000_000);
    await kv.keepAlive(session).then(
      (ttl) => expect(ttl).toBeUndefined(),
      (error: unknown) => expect(error).toMatchObject({ code: 'datastore' }),
    );
  });

  it.skipIf(!isRoot)('a folder or a revision of another user is refused in one line', async () => {
    const { directory, kv } = await store();
    const path = join(directory, REVISION);
    await writeFile(path, '{}');
    await chown(path, 4_242, 4_242);
    await expect(kv.list('/')).rejects.toMatchObject({ message: `${path}: its owner is user 4242` });
    await rm(path);
    await chown(directory, 4_242, 4_242);
    await expect(openFileKv({ directory, clock: systemClock, random: systemRandom })).rejects.toMatchObject({
      code: 'datastore',
      message: `cannot use the store in ${directory}: its owner is user 4242`,
    });
  });
});

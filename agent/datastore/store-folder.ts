// The folder of a file store: its content, its permissions and its notifications.
import { type FSWatcher, type Stats, watch } from 'node:fs';
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../base/atomic-file.ts';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';
import type { StorageWatch } from './document-kv.ts';
import { LIMITS } from './limits.ts';

/** Name of the sessions' folder. */
export const SESSIONS = 'sessions';

const REVISION = /^rev-(\d{12})\.json$/;
const TEMPORARY = /^\.tmp-[\w-]+$/;
// A temporary file of this age belongs to a dead process.
const LEFT_BEHIND_MS = 60_000;

/** File name of a revision. */
export function revisionFileName(revision: number): string {
  return `rev-${String(revision).padStart(12, '0')}.json`;
}

/** The revision of a file name; undefined: it is another file. */
export function revisionOfFile(name: string): number | undefined {
  const digits = REVISION.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Makes the folder if it is missing, and checks it. Fails as `datastore`. */
export async function openStoreFolder(directory: string, clock: Clock): Promise<void> {
  try {
    await makeFolder(join(directory, SESSIONS), 0o700);
    const folder = await stat(directory);
    if (!isTrustedOwner(folder)) {
      throw new TwillError(
        'datastore',
        `cannot use the store in ${directory}: its owner is user ${folder.uid}`,
        {
          hint: 'give the store a folder of this user or of root; it is made when missing',
        },
      );
    }
    if ((folder.mode & 0o002) !== 0) {
      throw new TwillError('datastore', `cannot use the store in ${directory}: every user may write it`, {
        hint: `remove that permission: chmod o-w ${directory}`,
      });
    }
    for (const name of await readdir(directory)) {
      if (TEMPORARY.test(name)) await removeLeftBehind(join(directory, name), clock);
      else if (name !== SESSIONS && revisionOfFile(name) === undefined) {
        throw new TwillError(
          'datastore',
          `cannot use the store in ${directory}: ${excerpt(name)} does not belong to a store`,
          { hint: 'give the store a folder of its own; it is made when missing' },
        );
      }
    }
  } catch (error) {
    throw asTwillError(
      error,
      'datastore',
      `cannot use the store in ${directory}`,
      'give the store a folder that this user may write; it is made when missing',
    );
  }
}

/** Whether a file or folder belongs to this user or to root: its owner may write it at any time. */
export function isTrustedOwner({ uid }: Pick<Stats, 'uid'>): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

async function removeLeftBehind(path: string, clock: Clock): Promise<void> {
  const age = await stat(path).then(
    ({ mtimeMs }) => clock.wallMs() - mtimeMs,
    () => 0,
  );
  if (age > LEFT_BEHIND_MS) await unlink(path).catch(() => undefined);
}

/**
 * Watches a folder for new revisions, by the kernel's notifications and by polling. Polling alone does if notifications
 * are not available: each user has a limited number.
 */
export function watchStoreFolder(directory: string, clock: Clock): StorageWatch {
  const bell = createBell(clock);
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(directory, (_event, name) => {
      if (name === null || revisionOfFile(name) !== undefined) bell.ring();
    });
    watcher.on('error', () => watcher?.close());
  } catch {
    watcher = undefined;
  }
  return {
    async wait(ms, signal) {
      await bell.wait(signal, Math.min(ms, LIMITS.fileStorePollMs)).catch(() => undefined);
    },
    [Symbol.dispose]: () => watcher?.close(),
  };
}

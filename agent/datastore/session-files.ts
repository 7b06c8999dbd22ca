// Sessions of a file store, one file each. Its content is the time to live in seconds; its modification time is the end
// of the session. Keeping a session alive changes that time.
//
// The end is a time of the wall clock, which all processes share. The rest of a session is measured on the boot clock
// from the moment when its end is first read: setting the wall clock ends no session early and keeps none alive.
import { lstat, open, readdir, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { errnoOf } from '../base/errors.ts';
import { readWholeFile } from '../base/read-file.ts';
import { LIMITS } from './limits.ts';

export interface SessionFiles {
  open(ttlSeconds: number): Promise<string>;
  /** Earliest end of a session, on the wall clock; undefined: there is none. */
  endMs(session: string): Promise<number | undefined>;
  /** Whether a session has not ended. Reads the file, because another process may have ended the session early. */
  isOpen(session: string): Promise<boolean>;
  /** Restarts the session's time to live and returns it in seconds; undefined: the session has ended. */
  keepAlive(session: string): Promise<number | undefined>;
  end(session: string): Promise<void>;
}

const NAME = /^[\w-]{1,100}$/;
// Sessions that ended this long ago have no keys left.
const KEEP_ENDED_MS = 60_000;

/** The sessions in `folder`. `self` makes the names of new ones unique. */
export function createSessionFiles(folder: string, self: string, clock: Clock): SessionFiles {
  let made = 0;
  // Per session: its end as last read from the file (wall clock), and the boot-clock time of that end.
  const seen = new Map<string, { readonly fileMs: number; readonly bootMs: number }>();

  function leftMs(session: string): number | undefined {
    const known = seen.get(session);
    return known && known.bootMs - clock.bootMs();
  }

  function see(session: string, fileMs: number): void {
    if (seen.get(session)?.fileMs === fileMs) return;
    seen.set(session, { fileMs, bootMs: clock.bootMs() + fileMs - clock.wallMs() });
  }

  async function endMs(session: string): Promise<number | undefined> {
    // An end only moves into the future. The file is read again only after the last known end.
    if ((leftMs(session) ?? 0) <= 0) await look(session);
    const left = leftMs(session);
    return left === undefined ? undefined : clock.wallMs() + left;
  }

  async function look(session: string): Promise<void> {
    const end = await fileTime(session);
    if (end === undefined) seen.delete(session);
    else see(session, end);
  }

  // Other processes wrote the names, so only a plain name is used as a path.
  async function fileTime(session: string): Promise<number | undefined> {
    if (!NAME.test(session)) return undefined;
    return lstat(join(folder, session)).then(
      (stats) => (stats.isFile() ? stats.mtimeMs : undefined),
      (error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return undefined;
        throw error;
      },
    );
  }

  async function isOpen(session: string): Promise<boolean> {
    await look(session);
    return (leftMs(session) ?? 0) > 0;
  }

  async function setEnd(session: string, ttlSeconds: number): Promise<void> {
    const end = clock.wallMs() + ttlSeconds * 1_000;
    await utimes(join(folder, session), end / 1_000, end / 1_000);
    await look(session);
  }

  async function removeLongEnded(): Promise<void> {
    for (const name of await readdir(folder)) {
      await look(name);
      if ((leftMs(name) ?? 0) < -KEEP_ENDED_MS) await remove(name);
    }
  }

  async function remove(session: string): Promise<void> {
    seen.delete(session);
    if (!NAME.test(session)) return;
    await unlink(join(folder, session)).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error;
    });
  }

  return {
    async open(ttlSeconds) {
      await removeLongEnded();
      made += 1;
      const session = `${self}-${made}`;
      const file = await open(join(folder, session), 'wx', 0o600);
      try {
        await file.writeFile(`${ttlSeconds}\n`);
      } finally {
        await file.close();
      }
      await setEnd(session, ttlSeconds);
      return session;
    },
    endMs,
    isOpen,
    async keepAlive(session) {
      if (!(await isOpen(session))) return undefined;
      try {
        const path = join(folder, session);
        const bytes = await readWholeFile(path, { maxBytes: LIMITS.sessionFileBytes, followLink: false });
        const ttlSeconds = Number(bytes);
        if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds <= 0) return undefined;
        await setEnd(session, ttlSeconds);
        return ttlSeconds;
      } catch (error) {
        if (errnoOf(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
    end: remove,
  };
}

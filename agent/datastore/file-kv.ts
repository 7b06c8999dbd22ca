// A store in a folder, shared by the processes of one machine without a server and without locks.
//
//     rev-000000000041.json   the whole store at revision 41; the highest number is the store
//     sessions/<id>           a session: its content is the time to live, its modification time the end
//     .tmp-…                  the next revision while it is written
//
// To commit a revision, link() gives the complete, synced temporary file its name. link() fails if that revision
// exists: another process was faster, and the transaction starts again. A killed process leaves at most a temporary
// file. Old revisions are pruned, so a process that slept between reading and linking may find its number free again:
// see `wasLate`.
//
// Sessions end by the wall clock, because processes and reboots share no other clock. Each is a file of its own, so
// that keeping it alive changes no revision and wakes no watcher.
import { link, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { asTwillError, errnoOf, reasonOf, TwillError } from '../base/errors.ts';
import { readFileStart } from '../base/read-file.ts';
import type { Kv } from '../model/kv.ts';
import { createDocumentKv, type KvStorage } from './document-kv.ts';
import { emptyDocument, type KvDocument } from './kv-document.ts';
import { LIMITS } from './limits.ts';
import { createSessionFiles } from './session-files.ts';
import { formatStoreFile, parseStoreFile } from './store-file.ts';
import {
  isTrustedOwner,
  openStoreFolder,
  revisionFileName,
  revisionOfFile,
  SESSIONS,
  watchStoreFolder,
} from './store-folder.ts';

/** Options of a file store. */
export interface FileKvOptions {
  /** Absolute path. Made with mode 0700 when missing. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Opens the store in a folder. Fails as `datastore` when the folder cannot be used or holds foreign files. */
export async function openFileKv({ directory, clock, random }: FileKvOptions): Promise<Kv> {
  await openStoreFolder(directory, clock);
  // Part of the name of every file we make. Unique among processes, even if two have the same pid (in containers).
  const self = `${process.pid}-${Math.floor(random() * 2 ** 32).toString(16)}-${clock.wallMs().toString(36)}`;
  let made = 0;
  let latest: { readonly commits: readonly string[]; readonly document: KvDocument } | undefined;
  const sessions = createSessionFiles(join(directory, SESSIONS), self, clock);

  async function revisions(): Promise<number[]> {
    const names = await readdir(directory);
    return names.flatMap((name) => revisionOfFile(name) ?? []).toSorted((a, b) => a - b);
  }

  async function readLatest() {
    // A listed revision may be pruned before it is read, if many are committed in between.
    for (let attempt = 1; ; attempt++) {
      const newest = (await revisions()).at(-1);
      if (newest === undefined) return { commits: [], document: emptyDocument() };
      if (newest === latest?.document.revision) return latest;
      const path = join(directory, revisionFileName(newest));
      try {
        latest = parseStoreFile(await readRevision(path), path, newest);
        return latest;
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT' || attempt === LIMITS.fileStoreRevisions) throw error;
      }
    }
  }

  // Whether the revision we linked had existed and been pruned before. It had not if its predecessor still exists,
  // since the oldest revisions go first. Otherwise the store's list of commits decides.
  async function wasLate(revision: number, commit: string): Promise<boolean> {
    const all = await revisions();
    if (all.includes(revision - 1) || all.at(-1) === revision) return false;
    return !(await readLatest()).commits.includes(commit);
  }

  async function prune(newest: number): Promise<void> {
    for (const revision of await revisions()) {
      if (revision > newest - LIMITS.fileStoreRevisions) return;
      await unlink(join(directory, revisionFileName(revision))).catch(ignoreMissing);
    }
  }

  async function save(document: KvDocument): Promise<boolean> {
    made += 1;
    const commit = `${self}-${made}`;
    const { commits } = await readLatest();
    const text = formatStoreFile(document, [...commits, commit].slice(-LIMITS.fileStoreHistory));
    const temporary = join(directory, `.tmp-${commit}`);
    const path = join(directory, revisionFileName(document.revision));
    try {
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await link(temporary, path);
      if (await wasLate(document.revision, commit)) {
        await unlink(path).catch(ignoreMissing);
        return false;
      }
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    } finally {
      await unlink(temporary).catch(ignoreMissing);
    }
    await prune(document.revision);
    return true;
  }

  // Converts file system errors.
  const guard = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof TwillError)) {
        throw asTwillError(error, 'datastore', `cannot use the store in ${directory}`);
      }
      const hint = `stop all agents, then move ${directory} away: they make a new store and lease subnets again`;
      throw new TwillError('datastore', error.message, { hint, cause: error });
    }
  };

  const storage: KvStorage = {
    historyLimit: LIMITS.fileStoreHistory,
    nowMs: () => clock.wallMs(),
    load: () => guard(async () => copyOf((await readLatest()).document)),
    save: (document) => guard(() => save(document)),
    openSession: (ttlSeconds) => guard(() => sessions.open(ttlSeconds)),
    sessionEndMs: (session) => guard(() => sessions.endMs(session)),
    sessionIsOpen: (session) => guard(() => sessions.isOpen(session)),
    keepAlive: (session) => guard(() => sessions.keepAlive(session)),
    endSession: (session) => guard(() => sessions.end(session)),
    watch: () => watchStoreFolder(directory, clock),
    [Symbol.dispose]: () => undefined,
  };
  await storage.load();
  return createDocumentKv(storage, clock, random);
}

// It may have been put there by others.
async function readRevision(path: string): Promise<string> {
  const refuse = (why: string): never => {
    throw new TwillError('datastore', `${path}: ${why}`);
  };
  const maxBytes = LIMITS.fileStoreBytes;
  const { bytes, isPart, stats } = await readFileStart(path, { maxBytes, followLink: false }).catch(
    (error: unknown) => {
      if (errnoOf(error) !== undefined) throw error;
      return refuse(reasonOf(error));
    },
  );
  if (!isTrustedOwner(stats)) refuse(`its owner is user ${stats.uid}`);
  if (isPart) refuse(`it is longer than ${maxBytes} bytes`);
  return bytes.toString();
}

function ignoreMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

function copyOf(document: KvDocument): KvDocument {
  return { ...document, entries: new Map(document.entries), history: [...document.history] };
}

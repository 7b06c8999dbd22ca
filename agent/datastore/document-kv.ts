// A store over a storage that keeps one document: reads, conditional writes, sessions that expire, and watches. All
// embedded stores share it. Writes are optimistic: load a document, decide, save the next revision, and start again if
// another writer was faster.
//
// No process is in charge of expiry: each transaction first deletes the keys of ended sessions.
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import { HistoryLost, isInRanges, type Kv, type KvEntry, type KvEvent, rangesOf } from '../model/kv.ts';
import {
  applyWrites,
  changesSince,
  type KvDocument,
  type KvStored,
  type KvWrite,
  shownChange,
  shownEntry,
} from './kv-document.ts';
import { LIMITS } from './limits.ts';

/** Waits for changes of a storage. */
export interface StorageWatch extends Disposable {
  /** Resolves when a revision may have been saved since the last call, after `ms` at the latest, or on abort. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** Keeps a document and its sessions. Operations fail as `datastore`. */
export interface KvStorage extends Disposable {
  /** Number of changes that are kept for watchers. */
  readonly historyLimit: number;
  /** The latest document. The caller may change it. */
  load(): Promise<KvDocument>;
  /** Makes `document` the latest one. False: another writer has saved that revision. */
  save(document: KvDocument): Promise<boolean>;
  openSession(ttlSeconds: number): Promise<string>;
  /** Earliest end of a session, on the storage's clock; undefined: there is none. May be cached. */
  sessionEndMs(session: string): Promise<number | undefined>;
  sessionIsOpen(session: string): Promise<boolean>;
  /** Resets the session's time to live and returns it in seconds; undefined: the session has ended. */
  keepAlive(session: string): Promise<number | undefined>;
  endSession(session: string): Promise<void>;
  watch(): StorageWatch;
  /** Time on the clock that sessions end by, in milliseconds. */
  nowMs(): number;
}

const FOREVER_MS = 2 ** 30;

/** A store over `storage`, which it disposes of. */
export function createDocumentKv(storage: KvStorage, clock: Clock, random: () => number): Kv {
  const closed = new AbortController();

  const transact = createTransact(storage, clock, random, closed.signal);

  return {
    list: (ranges, signal) =>
      transact(
        signal,
        () => [],
        ({ entries, revision }) => {
          const sorted = [...entries.values()].toSorted(byKey);
          const found = rangesOf(ranges).flatMap((range) =>
            sorted.filter(({ key }) => isInRanges(key, range)).map(shownEntry),
          );
          return { entries: found, revision };
        },
      ),
    get: (key, signal) =>
      transact(
        signal,
        () => [],
        ({ entries }) => shown(entries.get(key)),
      ),
    async openSession(ttlSeconds, signal) {
      signal?.throwIfAborted();
      return storage.openSession(ttlSeconds);
    },
    async keepAlive(session, signal) {
      signal?.throwIfAborted();
      return storage.keepAlive(session);
    },
    async closeSession(session, signal) {
      signal?.throwIfAborted();
      // The session ends first, so that no other key is bound to it while its keys are deleted.
      await storage.endSession(session);
      await transact(
        signal,
        () => [],
        () => undefined,
      );
    },
    async create(key, value, session, signal) {
      if (session !== undefined && !(await storage.sessionIsOpen(session))) return undefined;
      return transact(
        signal,
        ({ entries }) => (entries.has(key) ? [] : [{ op: 'put', key, value, session }]),
        ({ entries }, written) => (written ? shown(entries.get(key)) : undefined),
      );
    },
    async update({ key, revision, session }, value, signal) {
      if (session !== undefined && !(await storage.sessionIsOpen(session))) return undefined;
      return transact(
        signal,
        ({ entries }) =>
          entries.get(key)?.revision === revision ? [{ op: 'put', key, value, session }] : [],
        ({ entries }, written) => (written ? shown(entries.get(key)) : undefined),
      );
    },
    delete: ({ key, revision }, signal) =>
      transact(
        signal,
        ({ entries }) => (entries.get(key)?.revision === revision ? [{ op: 'delete', key }] : []),
        (_document, written) => written,
      ),
    async *watch(ranges, fromRevision, signal) {
      const either = AbortSignal.any([signal, closed.signal]);
      if (either.aborted) return;
      using changes = storage.watch();
      let next = fromRevision;
      let first = true;
      while (!either.aborted) {
        // An empty transaction also applies expiry, so that the history and the next expiry belong to one revision.
        const seen = await transact(
          undefined,
          () => [],
          (document, _written, nextExpiryMs) => ({
            batch: changesSince(document, ranges, next),
            revision: document.revision,
            nextExpiryMs,
          }),
        ).catch((error: unknown) => {
          if (either.aborted) return undefined;
          throw error;
        });
        if (seen === undefined || either.aborted) return;
        if (seen.batch === undefined) throw new HistoryLost(`revision ${next} was compacted`);
        if (seen.revision < next - 1) throw new HistoryLost(`the store has not reached revision ${next - 1}`);
        if (first) yield [{ type: 'progress', revision: next - 1 }] satisfies KvEvent[];
        first = false;
        next = Math.max(next, seen.revision + 1);
        if (seen.batch.length > 0) yield seen.batch.map(shownChange);
        else await changes.wait(seen.nextExpiryMs, either);
      }
    },
    async [Symbol.asyncDispose]() {
      closed.abort();
      storage[Symbol.dispose]();
    },
  };
}

/**
 * A function that runs `decide` on the latest document without the keys of ended sessions, saves its writes, and
 * returns the `result` of the document after them. `decide` is synchronous because the store in memory shares its
 * document between handles.
 */
function createTransact(storage: KvStorage, clock: Clock, random: () => number, closed: AbortSignal) {
  return async <T>(
    signal: AbortSignal | undefined,
    decide: (document: KvDocument) => readonly KvWrite[],
    result: (document: KvDocument, written: boolean, nextExpiryMs: number) => T,
  ): Promise<T> => {
    for (let attempt = 1; attempt <= LIMITS.fileStoreAttempts; attempt++) {
      if (closed.aborted) throw new TwillError('datastore', 'the store is closed');
      signal?.throwIfAborted();
      const document = await storage.load();
      const { ended, nextMs } = await examineSessions(storage, document);
      signal?.throwIfAborted();
      const expired = [...document.entries.values()].filter(
        ({ session }) => session !== undefined && ended.has(session),
      );
      for (const { key } of expired) document.entries.delete(key);
      const wanted = decide(document);
      for (const entry of expired) document.entries.set(entry.key, entry);
      const writes = [...expired.map(({ key }) => ({ op: 'delete', key }) as const), ...wanted];
      if (writes.length === 0) return result(document, false, nextMs);
      applyWrites(document, writes, storage.historyLimit);
      const value = result(document, wanted.length > 0, nextMs);
      if (await storage.save(document)) {
        for (const session of ended) await storage.endSession(session);
        return value;
      }
      await clock.sleep(random() * Math.min(40, 2 * attempt), signal);
    }
    throw new TwillError(
      'datastore',
      `cannot write: other writers were faster ${LIMITS.fileStoreAttempts} times in a row`,
    );
  };
}

// The ended sessions of a document's keys, and the time until the next one ends.
async function examineSessions(storage: KvStorage, document: KvDocument) {
  const sessions = new Set<string>();
  for (const { session } of document.entries.values()) if (session !== undefined) sessions.add(session);
  const ended = new Set<string>();
  let nextMs = FOREVER_MS;
  for (const session of sessions) {
    const leftMs = ((await storage.sessionEndMs(session)) ?? 0) - storage.nowMs();
    if (leftMs <= 0) ended.add(session);
    else nextMs = Math.min(nextMs, leftMs);
  }
  return { ended, nextMs };
}

function shown(entry: KvStored | undefined): KvEntry | undefined {
  return entry && shownEntry(entry);
}

function byKey(a: KvEntry, b: KvEntry): number {
  return a.key < b.key ? -1 : 1;
}

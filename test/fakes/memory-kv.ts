// A store in this process with several handles. A test can advance its time and drop its history. It passes the
// conformance suite of the real stores, too.
import { type Bell, createBell } from '../../agent/base/bell.ts';
import type { Clock } from '../../agent/base/clock.ts';
import { TwillError } from '../../agent/base/errors.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { createDocumentKv, type KvStorage } from '../../agent/datastore/document-kv.ts';
import { emptyDocument, forgetChanges, type KvStored } from '../../agent/datastore/kv-document.ts';
import type { Kv } from '../../agent/model/kv.ts';

/** Number of changes kept for late watchers. */
const HISTORY_LIMIT = 16_384;

/** One node's handle of a store in memory. */
export interface MemoryKv extends Kv {
  /** False cuts the connection: operations and watches fail until it is set to true. */
  setReachable(reachable: boolean): void;
}

export interface MemoryStore {
  open(): MemoryKv;
  /** Drops the history: a watch from an earlier revision fails. */
  compact(): void;
  /** Loses all data: keys, sessions, history and the revision. */
  wipe(): void;
  /** The entries at this moment. Keys of ended sessions are not among them, even before a handle deletes them. */
  entries(): readonly KvStored[];
  /** The one with this key. */
  entryAt(key: string): KvStored | undefined;
}

/** Creates an empty store. Sessions expire by the monotonic time of `clock`. */
export function createMemoryStore(clock: Clock): MemoryStore {
  const document = emptyDocument();
  const sessions = new Map<string, { readonly ttlSeconds: number; endMs: number }>();
  const bells = new Set<Bell>();
  let sessionsMade = 0;
  const ringAll = (): void => {
    for (const bell of bells) bell.ring();
  };

  function open(): MemoryKv {
    let reachable = true;
    const check = (): void => {
      if (!reachable) throw new TwillError('datastore', 'the store in memory cannot be reached');
    };
    const storage: KvStorage = {
      historyLimit: HISTORY_LIMIT,
      nowMs: () => clock.monotonicMs(),
      async load() {
        check();
        return document;
      },
      async save() {
        ringAll();
        return true;
      },
      async openSession(ttlSeconds) {
        check();
        sessionsMade += 1;
        const session = String(sessionsMade);
        sessions.set(session, { ttlSeconds, endMs: clock.monotonicMs() + ttlSeconds * 1_000 });
        return session;
      },
      async sessionEndMs(session) {
        check();
        return sessions.get(session)?.endMs;
      },
      async sessionIsOpen(session) {
        check();
        return (sessions.get(session)?.endMs ?? 0) > clock.monotonicMs();
      },
      async keepAlive(session) {
        check();
        const found = sessions.get(session);
        if (found === undefined || found.endMs <= clock.monotonicMs()) return undefined;
        found.endMs = clock.monotonicMs() + found.ttlSeconds * 1_000;
        return found.ttlSeconds;
      },
      async endSession(session) {
        check();
        sessions.delete(session);
      },
      watch() {
        const bell = createBell(clock);
        bells.add(bell);
        return {
          wait: async (ms, signal) => {
            await bell.wait(signal, ms).catch(() => undefined);
          },
          [Symbol.dispose]: () => bells.delete(bell),
        };
      },
      [Symbol.dispose]: ringAll,
    };
    return {
      ...createDocumentKv(storage, clock, systemRandom),
      setReachable(value) {
        reachable = value;
        ringAll();
      },
    };
  }

  const lives = ({ session }: { readonly session: string | undefined }): boolean =>
    session === undefined || (sessions.get(session)?.endMs ?? 0) > clock.monotonicMs();

  return {
    open,
    compact: () => forgetChanges(document, 0),
    wipe() {
      document.entries.clear();
      document.history.length = 0;
      document.revision = 0;
      document.compactedRevision = 0;
      sessions.clear();
      ringAll();
    },
    entries: () => [...document.entries.values()].filter(lives),
    entryAt(key) {
      const entry = document.entries.get(key);
      return entry !== undefined && lives(entry) ? entry : undefined;
    },
  };
}

// The contract of a datastore: a small set of keys with revisions, where a key may be bound to a session that
// must be kept alive. etcd's model, cut down to what a lease needs; one conformance suite holds all of them.

/** A key with its value. */
export interface KvEntry {
  readonly key: string;
  /** Undefined: it is larger than any value that has a meaning here. */
  readonly value: string | undefined;
  /** The revision of the store at which this key was last written. */
  readonly revision: number;
  /** The revision of the store at which this key was created; a deletion ends it. */
  readonly created: number;
  /** The session that this key ends with; undefined for a key that never expires. */
  readonly session: string | undefined;
}

/**
 * Keys that are listed or watched together: one range, or several. A text that ends in a slash stands for all keys that
 * begin with it, any other text for that key alone.
 */
export type KvRanges = string | readonly string[];

/** The keys of some ranges at one moment. */
export interface KvListing {
  readonly entries: readonly KvEntry[];
  /** The revision of the store at that moment; a watch from the next one misses nothing. */
  readonly revision: number;
}

export type KvEvent =
  /** A key was written. */
  | { readonly type: 'put'; readonly entry: KvEntry }
  /** A key was deleted, or its session has ended. */
  | { readonly type: 'delete'; readonly key: string; readonly revision: number }
  /**
   * The watch stands, and everything up to this revision has been delivered, of all its ranges. It is the first event,
   * and comes again at any time, so that a quiet watcher does not fall behind the history that the store keeps.
   */
  | { readonly type: 'progress'; readonly revision: number };

/**
 * Thrown by `watch` when the store cannot tell the changes since the requested revision. It has forgotten that
 * revision, or has not reached it: it has lost its data, or is another store. List again, then watch from there.
 */
export class HistoryLost extends Error {
  override readonly name = 'HistoryLost';
}

/** Thrown by `watch` when `reconnect` has closed its connection. Nothing is wrong. Watch again. */
export class Reconnecting extends Error {
  override readonly name = 'Reconnecting';
}

/**
 * A datastore. Operations fail as `datastore` when the store cannot be reached or refuses, within a limited
 * time; a lost race is `undefined` or `false`, never an error. Every operation ends early when its signal is aborted.
 */
export interface Kv extends AsyncDisposable {
  /** All keys of the ranges, each range sorted, in one request and at one revision. */
  list(ranges: KvRanges, signal?: AbortSignal): Promise<KvListing>;
  get(key: string, signal?: AbortSignal): Promise<KvEntry | undefined>;
  /** Opens a session that ends after `ttlSeconds` without `keepAlive`; keys bound to it are deleted then. */
  openSession(ttlSeconds: number, signal?: AbortSignal): Promise<string>;
  /** Resets the session's time to live, waking no watcher. Gives it in seconds; undefined: the session has ended. */
  keepAlive(session: string, signal?: AbortSignal): Promise<number | undefined>;
  /** Ends a session and deletes its keys; nothing happens where it has ended already. */
  closeSession(session: string, signal?: AbortSignal): Promise<void>;
  /** Writes a key that must not exist. Undefined: it exists, or the session has ended. */
  create(
    key: string,
    value: string,
    session: string | undefined,
    signal?: AbortSignal,
  ): Promise<KvEntry | undefined>;
  /**
   * Replaces the value of a key that must still be at `entry.revision`; it keeps the session that `entry` names.
   * Undefined: it was changed or deleted since.
   */
  update(entry: KvEntry, value: string, signal?: AbortSignal): Promise<KvEntry | undefined>;
  /** Deletes a key that must still be at the given revision. False: it was changed or deleted since. */
  delete(entry: Pick<KvEntry, 'key' | 'revision'>, signal?: AbortSignal): Promise<boolean>;
  /**
   * Changes of the keys of the ranges from `fromRevision` on, each batch as the store delivered it. Changes of one
   * range come in order; a change of another range may overtake them.
   *
   * Ends quietly when `signal` is aborted, throws `HistoryLost` when that history is gone, and fails as
   * `datastore` when the connection is lost; the caller decides when to watch again.
   */
  watch(ranges: KvRanges, fromRevision: number, signal: AbortSignal): AsyncIterable<readonly KvEvent[]>;
  /** Closes all connections: watches throw `Reconnecting`, and later operations open new connections. */
  reconnect?(): void;
}

/** The ranges as a list. */
export function rangesOf(ranges: KvRanges): readonly string[] {
  return typeof ranges === 'string' ? [ranges] : ranges;
}

/** Whether a range holds all keys that begin with it, and not one key alone. */
export function isPrefixRange(range: string): boolean {
  return range.endsWith('/');
}

/** Whether a key belongs to one of the ranges. */
export function isInRanges(key: string, ranges: KvRanges): boolean {
  return rangesOf(ranges).some((range) => (isPrefixRange(range) ? key.startsWith(range) : key === range));
}

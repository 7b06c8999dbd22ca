// The state of an embedded store as one value: its keys and their latest changes. This file defines revisions and the
// length of history. A storage keeps the value.
import { isInRanges, type KvEntry, type KvEvent, type KvRanges } from '../model/kv.ts';
import { LIMITS } from './limits.ts';

/** A key with its whole value. */
export interface KvStored extends KvEntry {
  readonly value: string;
}

/** A change of a key, kept for watchers. */
export type KvChange =
  | { readonly type: 'put'; readonly entry: KvStored }
  | Extract<KvEvent, { readonly type: 'delete' }>;

/** A change of a key, before it has a revision. */
export type KvWrite =
  | { readonly op: 'put'; readonly key: string; readonly value: string; readonly session: string | undefined }
  | { readonly op: 'delete'; readonly key: string };

/** All keys of a store at one revision. Mutable: its holder may change it. */
export interface KvDocument {
  revision: number;
  /** Changes up to this revision are no longer in the history. */
  compactedRevision: number;
  readonly entries: Map<string, KvStored>;
  /** Later changes, oldest first. Changes of one transaction share a revision. */
  readonly history: KvChange[];
}

/** An empty store. */
export function emptyDocument(): KvDocument {
  return { revision: 0, compactedRevision: 0, entries: new Map(), history: [] };
}

/** Applies writes as the next revision, and drops changes beyond `historyLimit` from the history. */
export function applyWrites(document: KvDocument, writes: readonly KvWrite[], historyLimit: number): void {
  const revision = document.revision + 1;
  for (const write of writes) {
    if (write.op === 'put') {
      const { key, value, session } = write;
      const created = document.entries.get(key)?.created ?? revision;
      const entry = { key, value, revision, created, session };
      document.entries.set(key, entry);
      document.history.push({ type: 'put', entry });
    } else if (document.entries.delete(write.key)) {
      document.history.push({ type: 'delete', key: write.key, revision });
    }
  }
  document.revision = revision;
  forgetChanges(document, historyLimit);
}

/** Drops all but the latest `keep` changes from the history. Those that share a revision go together. */
export function forgetChanges(document: KvDocument, keep: number): void {
  const excess = document.history.length - keep;
  if (excess <= 0) return;
  const last = document.history[excess - 1];
  if (last === undefined) return;
  document.compactedRevision = revisionOf(last);
  const firstKept = document.history.findIndex((change) => revisionOf(change) > document.compactedRevision);
  document.history.splice(0, firstKept < 0 ? document.history.length : firstKept);
}

/** Changes of the ranges from `fromRevision` on; undefined if the history no longer has all of them. */
export function changesSince(
  document: KvDocument,
  ranges: KvRanges,
  fromRevision: number,
): readonly KvChange[] | undefined {
  if (fromRevision <= document.compactedRevision) return undefined;
  const found: KvChange[] = [];
  for (let i = document.history.length - 1; i >= 0; i--) {
    const change = document.history[i];
    if (change === undefined || revisionOf(change) < fromRevision) break;
    if (isInRanges(keyOf(change), ranges)) found.push(change);
  }
  return found.reverse();
}

function revisionOf(change: KvChange): number {
  return change.type === 'put' ? change.entry.revision : change.revision;
}

function keyOf(change: KvChange): string {
  return change.type === 'put' ? change.entry.key : change.key;
}

/** An entry as readers see it: without a value that is too large. */
export function shownEntry(entry: KvStored): KvEntry {
  return Buffer.byteLength(entry.value) > LIMITS.valueBytes ? { ...entry, value: undefined } : entry;
}

/** A change as watchers see it. */
export function shownChange(change: KvChange): KvEvent {
  return change.type === 'put' ? { type: 'put', entry: shownEntry(change.entry) } : change;
}

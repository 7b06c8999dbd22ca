// The state of an embedded store as one value: its keys, and the latest changes of them. What a revision is
// and how long history lasts is decided here; where the value lies is the storage's business.
import type { KvEntry, KvEvent } from '../model/kv.ts';

/** A change of a key, as remembered for watchers. */
export type KvChange = Exclude<KvEvent, { readonly type: 'progress' }>;

/** A change of a key, before it has a revision. */
export type KvWrite =
  | { readonly op: 'put'; readonly key: string; readonly value: string; readonly session: string | undefined }
  | { readonly op: 'delete'; readonly key: string };

/** All keys of a store at one revision; whoever holds it may change it. */
export interface KvDocument {
  revision: number;
  /** Changes up to this revision are forgotten. */
  compactedRevision: number;
  readonly entries: Map<string, KvEntry>;
  /** Later changes, oldest first; changes made together share a revision. */
  readonly history: KvChange[];
}

/** A store that was never written to. */
export function emptyDocument(): KvDocument {
  return { revision: 0, compactedRevision: 0, entries: new Map(), history: [] };
}

/** Takes the document to its next revision, and forgets changes beyond `historyLimit`. */
export function applyWrites(document: KvDocument, writes: readonly KvWrite[], historyLimit: number): void {
  const revision = document.revision + 1;
  for (const write of writes) {
    if (write.op === 'put') {
      const entry = { key: write.key, value: write.value, revision, session: write.session };
      document.entries.set(write.key, entry);
      document.history.push({ type: 'put', entry });
    } else if (document.entries.delete(write.key)) {
      document.history.push({ type: 'delete', key: write.key, revision });
    }
  }
  document.revision = revision;
  forgetChanges(document, historyLimit);
}

/** Forgets all but the latest `keep` changes; those that share a revision go together. */
export function forgetChanges(document: KvDocument, keep: number): void {
  const excess = document.history.length - keep;
  if (excess <= 0) return;
  const last = document.history[excess - 1];
  if (last === undefined) return;
  document.compactedRevision = revisionOf(last);
  const stays = document.history.findIndex((change) => revisionOf(change) > document.compactedRevision);
  document.history.splice(0, stays < 0 ? document.history.length : stays);
}

/** Changes under `prefix` from `fromRevision` on; undefined when some of them are forgotten. */
export function changesSince(
  document: KvDocument,
  prefix: string,
  fromRevision: number,
): readonly KvChange[] | undefined {
  if (fromRevision <= document.compactedRevision) return undefined;
  const found: KvChange[] = [];
  for (let i = document.history.length - 1; i >= 0; i--) {
    const change = document.history[i];
    if (change === undefined || revisionOf(change) < fromRevision) break;
    if (keyOf(change).startsWith(prefix)) found.push(change);
  }
  return found.reverse();
}

function revisionOf(change: KvChange): number {
  return change.type === 'put' ? change.entry.revision : change.revision;
}

function keyOf(change: KvChange): string {
  return change.type === 'put' ? change.entry.key : change.key;
}

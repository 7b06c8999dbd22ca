// The text form of a file store's revision: JSON with one key per line, which people can read and diff.
import { parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import type { KvDocument } from './kv-document.ts';

/** Content of a revision's file. */
export interface StoreFile {
  readonly document: KvDocument;
  /** Names of the latest commits, newest last; see `wasLate` in file-kv.ts. */
  readonly commits: readonly string[];
}

const revision = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const entry = v.pipe(
  v.object({
    key: v.string(),
    value: v.string(),
    revision,
    // Missing in a file of an earlier version.
    created: v.optional(revision),
    session: v.optional(v.string()),
  }),
  v.transform(({ created, session, ...rest }) => ({ ...rest, created: created ?? rest.revision, session })),
);

const storeFile = v.object({
  format: v.literal(1, 'must be 1, the only known format'),
  revision,
  compactedRevision: revision,
  entries: v.array(entry),
  history: v.array(
    v.variant('type', [
      v.object({ type: v.literal('put'), entry }),
      v.object({ type: v.literal('delete'), key: v.string(), revision }),
    ]),
  ),
  commits: v.array(v.string()),
});

/** Formats a revision. */
export function formatStoreFile(document: KvDocument, commits: readonly string[]): string {
  const { revision, compactedRevision, entries, history } = document;
  const lines = (items: readonly unknown[]): string =>
    items.length === 0 ? '[]' : `[\n${items.map((item) => JSON.stringify(item)).join(',\n')}\n]`;
  return [
    `{"format":1,"revision":${revision},"compactedRevision":${compactedRevision},`,
    `"entries":${lines([...entries.values()])},`,
    `"history":${lines(history)},`,
    `"commits":${JSON.stringify(commits)}}\n`,
  ].join('\n');
}

/** Parses a revision's file. `path` is for the message; `expected` is the revision. Fails as `datastore`. */
export function parseStoreFile(text: string, path: string, expected: number): StoreFile {
  const checked = v.pipe(
    storeFile,
    v.check((file) => file.revision === expected, `must be of revision ${expected}`),
  );
  const { revision, compactedRevision, entries, history, commits } = parseJson(
    checked,
    text,
    path,
    'datastore',
  );
  return {
    document: {
      revision,
      compactedRevision,
      entries: new Map(entries.map((item) => [item.key, item])),
      history,
    },
    commits,
  };
}

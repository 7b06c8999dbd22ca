import { describe, expect, it } from 'vitest';
import {
  applyWrites,
  changesSince,
  emptyDocument,
  forgetChanges,
  type KvDocument,
} from '../../../agent/datastore/kv-document.ts';

function put(key: string, value = 'x') {
  return { op: 'put', key, value, session: undefined } as const;
}

/** The changes that a watch from a revision would deliver, as short texts. */
function told(document: KvDocument, prefix: string, from: number): readonly string[] | undefined {
  return changesSince(document, prefix, from)?.map((change) =>
    change.type === 'put'
      ? `${change.entry.revision} ${change.entry.key}=${change.entry.value}`
      : `${change.revision} ${change.key} deleted`,
  );
}

describe('the document of a store', () => {
  it('the store document gives the changes of one transaction one revision', () => {
    const document = emptyDocument();
    applyWrites(document, [put('/a'), put('/b')], 10);
    applyWrites(document, [{ op: 'delete', key: '/a' }, put('/c')], 10);
    expect(document.revision).toBe(2);
    expect([...document.entries.keys()]).toEqual(['/b', '/c']);
    expect(told(document, '/', 1)).toEqual(['1 /a=x', '1 /b=x', '2 /a deleted', '2 /c=x']);
  });

  it('the store document records no deletion of a missing key', () => {
    const document = emptyDocument();
    applyWrites(document, [{ op: 'delete', key: '/a' }], 10);
    expect(told(document, '/', 1)).toEqual([]);
  });

  it('the store document returns only the changes under the prefix and from the revision on', () => {
    const document = emptyDocument();
    for (const key of ['/a/1', '/b/1', '/a/2', '/a/3']) applyWrites(document, [put(key)], 10);
    expect(told(document, '/a/', 2)).toEqual(['3 /a/2=x', '4 /a/3=x']);
    expect(told(document, '/a/', 5)).toEqual([]);
  });

  it('the store document drops the oldest changes beyond the limit, and then returns undefined for them', () => {
    const document = emptyDocument();
    for (const key of ['/1', '/2', '/3', '/4']) applyWrites(document, [put(key)], 2);
    expect(told(document, '/', 2)).toBeUndefined();
    expect(told(document, '/', 3)).toEqual(['3 /3=x', '4 /4=x']);
  });

  it('the store document drops the changes of one transaction together', () => {
    const document = emptyDocument();
    applyWrites(document, [put('/1'), put('/2'), put('/3')], 2);
    expect(told(document, '/', 1)).toBeUndefined();
    expect(document.history).toEqual([]);
    expect(told(document, '/', 2)).toEqual([]);
  });

  it('the store document accepts writes after its whole history was dropped', () => {
    const document = emptyDocument();
    applyWrites(document, [put('/1')], 10);
    forgetChanges(document, 0);
    applyWrites(document, [put('/1', 'y')], 10);
    expect(told(document, '/', 1)).toBeUndefined();
    expect(told(document, '/', 2)).toEqual(['2 /1=y']);
  });
});

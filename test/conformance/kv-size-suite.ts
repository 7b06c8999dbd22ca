// The part of the conformance suite of Kv that is about the size of values and of listings.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../agent/datastore/limits.ts';
import type { Kv, KvEntry } from '../../agent/model/kv.ts';
import type { KvBed } from './kv-suite.ts';
import { watch } from './watched.ts';

function present(entry: KvEntry | undefined): KvEntry {
  expect(entry).toBeDefined();
  return entry as KvEntry;
}

/** Tests a kind of store. */
export function describeKvSizes(title: string, isSkipped: boolean, openBed: () => Promise<KvBed>): void {
  describe.skipIf(isSkipped)(`${title}: sizes`, () => {
    let bed: KvBed;
    let kv: Kv;
    let other: Kv;
    let tests = 0;
    let at: string;
    beforeAll(async () => {
      bed = await openBed();
      kv = await bed.open();
      other = await bed.open();
    });
    afterAll(async () => {
      await kv?.[Symbol.asyncDispose]();
      await other?.[Symbol.asyncDispose]();
      await bed?.[Symbol.asyncDispose]();
    });
    beforeEach(() => {
      tests += 1;
      at = `/t${tests}/`;
    });

    it('a store keeps text of any language, and a value as large as values may be', async () => {
      const text = 'ä€😀"\\\n';
      const value = text.repeat(LIMITS.valueBytes / Buffer.byteLength(text));
      await kv.create(`${at}&fd00:5::-64`, value, undefined);
      expect((await other.get(`${at}&fd00:5::-64`))?.value).toBe(value);
    });

    it('a store shows a key with a larger value without it, and keeps the key', async () => {
      const before = await kv.list(at);
      const watched = await watch(other, at, before.revision + 1);
      const made = present(await kv.create(`${at}large`, 'x'.repeat(LIMITS.valueBytes + 1), undefined));
      const shown = { ...made, value: undefined };
      expect(await other.get(`${at}large`)).toEqual(shown);
      expect((await other.list(at)).entries).toEqual([shown]);
      await watched.sees(`${at}large`, undefined);
      expect(watched.events).toContainEqual({ type: 'put', entry: shown });
      expect(present(await other.update(shown, 'small')).created).toBe(made.created);
      expect((await kv.get(`${at}large`))?.value).toBe('small');
    });
  });
}

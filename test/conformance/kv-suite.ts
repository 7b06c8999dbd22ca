// The conformance suite of Kv, for every datastore.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HistoryLost, type Kv, type KvEntry } from '../../agent/model/kv.ts';
import { waitFor } from '../lab/wait.ts';
import { changes, watch } from './watched.ts';

/** A store to test: several handles of one store can be open. */
export interface KvBed extends AsyncDisposable {
  open(): Promise<Kv>;
  /** Drops the history up to now. */
  compact(): Promise<void>;
  /** Loses all data: keys, sessions, history and the revision. */
  wipe(): Promise<void>;
}

function present(entry: KvEntry | undefined): KvEntry {
  expect(entry).toBeDefined();
  return entry as KvEntry;
}

/** Tests a kind of store. */
export function describeKv(title: string, isSkipped: boolean, openBed: () => Promise<KvBed>): void {
  describe.skipIf(isSkipped)(title, () => {
    let bed: KvBed;
    let kv: Kv;
    let other: Kv;
    let tests = 0;
    // Prefix of one test's keys, so that it does not see those of earlier tests.
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

    it('a store shows a created key to every handle', async () => {
      const made = present(await kv.create(`${at}a`, 'one', undefined));
      expect(made).toMatchObject({ key: `${at}a`, value: 'one', session: undefined });
      expect(await other.get(`${at}a`)).toEqual(made);
      expect(await kv.get(`${at}b`)).toBeUndefined();
    });

    it('a store creates a key only if it does not exist', async () => {
      await kv.create(`${at}a`, 'one', undefined);
      expect(await other.create(`${at}a`, 'one', undefined)).toBeUndefined();
      expect((await kv.get(`${at}a`))?.value).toBe('one');
    });

    it('a store lists only the keys under a prefix, with the revision of the store', async () => {
      await kv.create(`${at}b`, '2', undefined);
      await kv.create(`${at}a`, '1', undefined);
      await kv.create(`${at.slice(0, -1)}0`, 'neighbour', undefined);
      const listing = await other.list(at);
      expect(listing.entries.map(({ key }) => key)).toEqual([`${at}a`, `${at}b`]);
      const next = present(await kv.create(`${at}c`, '3', undefined));
      expect(next.revision).toBeGreaterThan(listing.revision);
    });

    it('a store lists several ranges at one revision, and a text without a slash at its end is one key', async () => {
      for (const name of ['config', 'config2', 'leases/b', 'leases/a', 'other/c'])
        await kv.create(`${at}${name}`, 'x', undefined);
      const { entries, revision } = await other.list([`${at}config`, `${at}leases/`, `${at}missing`]);
      expect(entries.map(({ key }) => key)).toEqual([`${at}config`, `${at}leases/a`, `${at}leases/b`]);
      const made = present(await kv.create(`${at}leases/c`, 'x', undefined));
      expect(made.revision).toBe(revision + 1);
    });

    it('a store watches several ranges, and nothing beside them', async () => {
      const before = present(await kv.create(`${at}config`, '1', undefined));
      const watched = await watch(other, [`${at}config`, `${at}leases/`], before.revision);
      for (const name of ['config2', 'leases/a', 'other/c']) await kv.create(`${at}${name}`, 'x', undefined);
      const config = present(await kv.update(before, '2'));
      await kv.delete(config);
      await kv.create(`${at}leases/b`, 'x', undefined);
      await watched.sees(`${at}leases/b`, 'x');
      await watched.sees(`${at}config`, undefined);
      expect(watched.events[0]).toEqual({ type: 'progress', revision: before.revision - 1 });
      const told = changes(watched.events);
      expect(told.filter((text) => text.includes('config'))).toEqual([
        `${at}config=1`,
        `${at}config=2`,
        `${at}config deleted`,
      ]);
      expect(told.filter((text) => !text.includes('config'))).toEqual([`${at}leases/a=x`, `${at}leases/b=x`]);
    });

    it('a store lists no keys under an unused prefix, with a revision', async () => {
      const listing = await kv.list(at);
      expect(listing.entries).toEqual([]);
      expect(Number.isSafeInteger(listing.revision)).toBe(true);
    });

    it('a store updates a key only if it is unchanged', async () => {
      const first = present(await kv.create(`${at}a`, 'one', undefined));
      const second = present(await other.update(first, 'two'));
      expect(second.revision).toBeGreaterThan(first.revision);
      expect(await kv.update(first, 'three')).toBeUndefined();
      expect((await kv.get(`${at}a`))?.value).toBe('two');
    });

    it('a store tells since when a key exists, over updates, and anew after it was deleted', async () => {
      const first = present(await kv.create(`${at}a`, 'one', undefined));
      expect(first.created).toBe(first.revision);
      const watched = await watch(other, at, first.revision);
      const second = present(await other.update(first, 'two'));
      const session = await kv.openSession(60);
      const third = present(await kv.update({ ...second, session }, 'three'));
      expect([second.created, third.created]).toEqual([first.created, first.created]);
      expect(await other.get(`${at}a`)).toEqual(third);
      expect((await other.list(at)).entries).toEqual([third]);
      await kv.closeSession(session);
      const again = present(await kv.create(`${at}a`, 'four', undefined));
      expect(again.created).toBe(again.revision);
      expect(again.created).toBeGreaterThan(third.created);
      await watched.sees(`${at}a`, 'four');
      const told = watched.events.flatMap((event) => (event.type === 'put' ? event.entry : []));
      expect(told).toEqual([first, second, third, again]);
    });

    it('a store does not update a deleted key', async () => {
      const entry = present(await kv.create(`${at}a`, 'one', undefined));
      expect(await kv.delete(entry)).toBe(true);
      expect(await kv.update(entry, 'two')).toBeUndefined();
      expect(await kv.get(`${at}a`)).toBeUndefined();
    });

    it('a store deletes a key only if it is unchanged', async () => {
      const first = present(await kv.create(`${at}a`, 'one', undefined));
      const second = present(await kv.update(first, 'two'));
      expect(await kv.delete(first)).toBe(false);
      expect(await kv.delete(second)).toBe(true);
      expect(await kv.delete(second)).toBe(false);
    });

    it('a store lets exactly one of 30 concurrent creates of one key succeed', async () => {
      const results = await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          (i % 2 === 0 ? kv : other).create(`${at}a`, String(i), undefined),
        ),
      );
      const winners = results.filter((entry) => entry !== undefined);
      expect(winners).toHaveLength(1);
      expect((await kv.get(`${at}a`))?.value).toBe(winners[0]?.value);
    });

    it('a store keeps all of 30 keys that are created concurrently', async () => {
      await Promise.all(
        Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? kv : other).create(`${at}${i}`, 'x', undefined)),
      );
      expect((await kv.list(at)).entries).toHaveLength(30);
    });

    it('a store deletes the keys of a closed session, and tells watchers', async () => {
      const session = await kv.openSession(60);
      const entry = present(await kv.create(`${at}a`, 'one', session));
      expect(entry.session).toBe(session);
      expect((await other.get(`${at}a`))?.session).toBe(session);
      await kv.create(`${at}b`, 'stays', undefined);
      const watched = await watch(other, at, (await other.list(at)).revision + 1);
      await kv.closeSession(session);
      await watched.sees(`${at}a`, undefined);
      expect((await kv.list(at)).entries.map(({ key }) => key)).toEqual([`${at}b`]);
    });

    it('a store refuses a closed session without an error', async () => {
      const session = await kv.openSession(60);
      await kv.closeSession(session);
      expect(await kv.keepAlive(session)).toBeUndefined();
      expect(await other.create(`${at}a`, 'one', session)).toBeUndefined();
      expect(await kv.get(`${at}a`)).toBeUndefined();
      await kv.closeSession(session);
    });

    it('a store ends a session that is not kept alive, and keeps the others', async () => {
      const dying = await kv.openSession(2);
      const living = await kv.openSession(2);
      await kv.create(`${at}dying`, 'x', dying);
      const entry = present(await kv.create(`${at}living`, 'x', living));
      const watched = await watch(other, at, entry.revision + 1);
      const stop = Date.now() + 10_000;
      while (changes(watched.events).length === 0 && Date.now() < stop) {
        expect(await kv.keepAlive(living)).toBeGreaterThanOrEqual(1);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(changes(watched.events)).toEqual([`${at}dying deleted`]);
      expect(await kv.get(`${at}dying`)).toBeUndefined();
      expect(await kv.keepAlive(dying)).toBeUndefined();
      expect(await other.get(`${at}living`)).toEqual(entry);
    });

    it('a store keeps the session of an updated key', async () => {
      const session = await kv.openSession(60);
      const first = present(await kv.create(`${at}a`, 'one', session));
      expect(present(await kv.update(first, 'two')).session).toBe(session);
      await kv.closeSession(session);
      expect(await kv.get(`${at}a`)).toBeUndefined();
    });

    it('a store keeps a session alive without waking a watcher or writing a key', async () => {
      const session = await kv.openSession(60);
      const entry = present(await kv.create(`${at}a`, 'one', session));
      const watched = await watch(other, at, entry.revision + 1);
      for (let i = 0; i < 5; i++) expect(await kv.keepAlive(session)).toBe(60);
      expect((await kv.list(at)).entries).toEqual([entry]);
      await kv.create(`${at}b`, 'last', undefined);
      await watched.sees(`${at}b`, 'last');
      expect(changes(watched.events)).toEqual([`${at}b=last`]);
    });

    it('a store delivers progress to a watcher first, then every change in order', async () => {
      const { revision } = await kv.list(at);
      const watched = await watch(other, at, revision + 1);
      expect(watched.events[0]).toEqual({ type: 'progress', revision });
      const first = present(await kv.create(`${at}a`, 'one', undefined));
      const second = present(await kv.update(first, 'two'));
      await kv.create('/elsewhere', 'x', undefined);
      await kv.delete(second);
      await kv.create(`${at}b`, 'last', undefined);
      await watched.sees(`${at}b`, 'last');
      expect(changes(watched.events)).toEqual([`${at}a=one`, `${at}a=two`, `${at}a deleted`, `${at}b=last`]);
      expect(watched.events).toContainEqual({ type: 'put', entry: second });
    });

    it('a store delivers the changes since an earlier revision', async () => {
      const first = present(await kv.create(`${at}a`, 'one', undefined));
      await kv.update(first, 'two');
      await kv.create(`${at}b`, 'last', undefined);
      const watched = await watch(other, at, first.revision + 1);
      await watched.sees(`${at}b`, 'last');
      expect(changes(watched.events)).toEqual([`${at}a=two`, `${at}b=last`]);
    });

    it('a store refuses a watch whose history is lost, and accepts one from the current revision', async () => {
      const first = present(await kv.create(`${at}a`, 'one', undefined));
      await kv.update(first, 'two');
      await bed.compact();
      const late = await watch(other, at, first.revision);
      await waitFor('the watch is refused', 10_000, () => late.outcome() !== undefined);
      expect(late.outcome()).toBeInstanceOf(HistoryLost);
      const listing = await kv.list(at);
      const present2 = await watch(other, at, listing.revision + 1);
      await kv.create(`${at}b`, 'last', undefined);
      await present2.sees(`${at}b`, 'last');
      expect(changes(present2.events)).toEqual([`${at}b=last`]);
    });

    it('a store refuses a watch from a revision that the store has not reached, as of another history', async () => {
      const { revision } = await kv.list(at);
      const early = await watch(kv, at, revision + 100);
      await waitFor('the watch is refused', 10_000, () => early.outcome() !== undefined);
      expect(early.outcome()).toBeInstanceOf(HistoryLost);
    });

    it('a store ends a watch quietly when its signal is aborted', async () => {
      const watched = await watch(kv, at, (await kv.list(at)).revision + 1);
      watched.stop();
      await waitFor('the watch ends', 2_000, () => watched.outcome() !== undefined);
      expect(watched.outcome()).toBe('ended');
    });

    it('a store rejects without effect if the signal is aborted already', async () => {
      const gone = AbortSignal.abort(new Error('stopped'));
      await expect(kv.create(`${at}a`, 'one', undefined, gone)).rejects.toThrow('stopped');
      await expect(kv.list(at, gone)).rejects.toThrow('stopped');
      expect(await kv.get(`${at}a`)).toBeUndefined();
    });

    it('a store ends its watches and fails as `datastore` after disposal', async () => {
      const third = await bed.open();
      const watched = await watch(third, at, (await third.list(at)).revision + 1);
      await third[Symbol.asyncDispose]();
      await waitFor('the watch ends', 2_000, () => watched.outcome() !== undefined);
      expect(watched.outcome()).toBe('ended');
      await expect(third.get(at)).rejects.toMatchObject({ code: 'datastore' });
    });
  });
}

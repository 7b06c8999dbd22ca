// A holder that is asked whether it is alive, and clones of one machine, which are not asked.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/lease/limits.ts';
import { CHALLENGE_WAIT_MS, DATASTORE_BACKOFF, LEASE_TTL_SECONDS } from '../../../agent/model/limits.ts';
import { type HolderBed, holderBed, type TestNode } from './holder-bed.ts';
import {
  CLONE_MAC,
  inUse,
  KEY,
  OTHER_ID,
  questions,
  revisionOf,
  SELF,
  SUBNET,
  THERE,
  valueOf,
} from './identities.ts';

describe('clones of one machine', () => {
  /** Starts 30 nodes within moments; gives their requests, all of them together. */
  const startTogether = async (all: HolderBed, isClone: boolean) => {
    const nodes: TestNode[] = [];
    for (let i = 1; i <= 30; i++) {
      const mac = `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`;
      const own = { id: i.toString(16).padStart(16, '0'), name: `h${i}` };
      nodes.push(await all.node({ ...SELF, ...(isClone ? {} : own), ip: `192.168.77.${i}`, mac, seed: i }));
    }
    const before = all.clock.monotonicMs();
    const { signal } = new AbortController();
    // The second half starts while the first one has its leases already.
    for (const half of [nodes.slice(0, 15), nodes.slice(15)]) {
      const acquiring = Promise.all(half.map(({ holder }) => holder.acquire(undefined, signal)));
      await all.clock.settle();
      await acquiring;
    }
    expect(all.clock.monotonicMs()).toBe(before);
    const stops = nodes.map(() => new AbortController());
    const running = nodes.map(({ holder, noteChange }, i) =>
      holder.run(noteChange, stops[i]?.signal ?? signal),
    );
    await all.clock.advance(60_000);
    for (const stop of stops) stop.abort();
    await Promise.allSettled(running);
    const total: Record<string, number> = {};
    for (const { counts } of nodes)
      for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
    return { nodes, total };
  };

  it('clones that start together get a subnet each, without a question, and cost no more than other nodes', async () => {
    let expected: Record<string, number> = {};
    await holderBed(async (all) => {
      expected = (await startTogether(all, false)).total;
    });
    await holderBed(async (all) => {
      const { nodes, total } = await startTogether(all, true);
      expect(total).toEqual(expected);
      expect(total['update']).toBeUndefined();
      expect(new Set(nodes.map(inUse)).size).toBe(30);
      expect(nodes.flatMap(questions)).toEqual([]);
      expect(nodes.flatMap(({ changes }) => changes)).toEqual([]);
    });
  });

  it('clones keep their leases when they start again together', () =>
    holderBed(async (all) => {
      const { nodes } = await startTogether(all, true);
      const before = nodes.map(inUse);
      const again = await startTogether(all, true);
      expect(again.nodes.map(inUse)).toEqual(before);
      expect(again.total).toMatchObject({ get: 30, keepAlive: 30 });
    }));

  it('two clones with one key do not write over each other: one keeps it, the other claims anew', () =>
    holderBed(async (all) => {
      const first = await all.node(SELF);
      await first.start(SUBNET);
      const clone = { ...SELF, ip: THERE, mac: CLONE_MAC };
      // As an older version wrote it: in the session of the former holder.
      const entry = await all.kv.get(KEY);
      if (entry === undefined) throw new Error('no lease');
      await all.kv.update(entry, JSON.stringify(valueOf(clone)));
      await all.clock.advance(0);
      expect(inUse(first)).toBe(first.changes[0]);
      const second = await all.node(clone);
      expect(await second.start()).toBe(SUBNET);
      const revision = await revisionOf(all);
      await all.clock.advance(3_600_000);
      expect(await revisionOf(all)).toBe(revision);
      expect([first.changes.length, second.changes]).toEqual([1, []]);
      expect(new Set([inUse(first), inUse(second)]).size).toBe(2);
      expect(first.lines.filter((line) => line.startsWith('error'))).toEqual([
        'error h1: another node has our subnet now: it is not used any more subnet=10.5.77.0/24 holder=192.168.77.9 name=h1',
        `error h1: this node has another subnet from now on: start its containers anew was=10.5.77.0/24 is=${first.changes[0]}`,
      ]);
    }));
});

describe('an answer', () => {
  const first = { ...SELF, mac: CLONE_MAC };

  it('an answer after eight seconds counts: the holder is slow', () =>
    holderBed(async (all) => {
      const holder = await all.node({
        ...first,
        wrapKv: (kv) => ({
          ...kv,
          update: async (...args) => {
            await all.clock.sleep(8_000);
            return kv.update(...args);
          },
        }),
      });
      await holder.start(SUBNET);
      const self = await all.node(SELF);
      await expect(self.acquire()).rejects.toMatchObject({ code: 'conflict' });
      expect([holder.changes, inUse(holder)]).toEqual([[], SUBNET]);
    }));

  it('an answer is given again when it was lost or the datastore failed, and harms nothing', () =>
    holderBed(async (all) => {
      let failures = 0;
      const holder = await all.node({
        ...first,
        wrapKv: (kv) => ({
          ...kv,
          update: async (...args) => {
            failures++;
            if (failures <= 2) throw new Error('the server has a new leader');
            const written = await kv.update(...args);
            if (failures === 3) throw new Error('the answer was lost');
            return written;
          },
        }),
      });
      await holder.start(SUBNET);
      const self = await all.node(SELF);
      await expect(self.acquire()).rejects.toMatchObject({ code: 'conflict' });
      await all.clock.advance(DATASTORE_BACKOFF.maxMs);
      expect([failures, holder.changes, inUse(holder), holder.reason()]).toEqual([3, [], SUBNET, undefined]);
    }));

  it('an answer is waited for anew when the datastore was away while the holder was asked', () =>
    holderBed(async (all) => {
      const holder = await all.node(first);
      await holder.start(SUBNET);
      holder.kv.setReachable(false);
      const self = await all.node(SELF);
      const acquiring = self.holder.acquire(undefined, new AbortController().signal);
      acquiring.catch(() => undefined);
      await all.clock.advance(CHALLENGE_WAIT_MS / 2);
      self.kv.setReachable(false);
      await all.clock.advance(CHALLENGE_WAIT_MS);
      await expect(acquiring).rejects.toMatchObject({ code: 'datastore' });
      for (const { kv } of [holder, self]) kv.setReachable(true);
      await expect(self.acquire()).rejects.toMatchObject({ code: 'conflict' });
      expect([holder.changes, inUse(holder)]).toEqual([[], SUBNET]);
    }));

  it('an answer comes soon although the holder had long failed to reach the datastore', () =>
    holderBed(async (all) => {
      const holder = await all.node(first);
      await holder.start(SUBNET);
      holder.kv.setReachable(false);
      holder.holder.recheck();
      await all.clock.advance(60_000);
      holder.kv.setReachable(true);
      const self = await all.node(SELF);
      await expect(self.acquire()).rejects.toMatchObject({ code: 'conflict' });
    }));

  it('a holder that answers too late lets go, says so once, and gets another subnet', () =>
    holderBed(async (all) => {
      const holder = await all.node({ ...SELF, ip: THERE });
      await holder.start(SUBNET);
      holder.kv.setReachable(false);
      await all.clock.advance(1_000);
      const self = await all.node(SELF);
      expect(await self.start()).toBe(SUBNET);
      holder.kv.setReachable(true);
      await all.clock.advance(60_000);
      expect([inUse(self), self.changes, holder.changes.length]).toEqual([SUBNET, [], 1]);
      expect(inUse(holder)).toBe(holder.changes[0]);
      expect(inUse(holder)).not.toBe(SUBNET);
      expect(holder.lines.filter((line) => line.includes('another node has our subnet now'))).toHaveLength(1);
    }));

  it('a holder that lost its lease to a live node with its address asks rarely, says so once, and waits', () =>
    holderBed(async (all) => {
      const holder = await all.node(first);
      await holder.start(SUBNET);
      holder.kv.setReachable(false);
      await all.clock.advance(1_000);
      const self = await all.node(SELF);
      expect(await self.start()).toBe(SUBNET);
      holder.kv.setReachable(true);
      await all.clock.advance(10_000);
      const before = await revisionOf(all);
      await all.clock.advance(120_000);
      // A question and its answer are two writes, of which all nodes hear.
      expect(await revisionOf(all)).toBeLessThanOrEqual(before + 10);
      expect(questions(holder).filter((line) => line.startsWith('info'))).toHaveLength(1);
      expect(holder.lines.filter((line) => line.includes('cannot claim a lease again'))).toHaveLength(1);
      expect(holder.reason()).toMatch(/is alive and has our public address/);
      await self.stop();
      await all.clock.advance(LIMITS.conflictMs + CHALLENGE_WAIT_MS + DATASTORE_BACKOFF.maxMs);
      expect([inUse(holder), holder.changes.length]).toEqual([holder.changes[0], 1]);
    }));

  it('of two nodes that ask about one lease one gets it, and the other hears of the conflict', () =>
    holderBed(async (all) => {
      await all.write(SUBNET, valueOf({ ...SELF, id: OTHER_ID, name: 'h9' }), LEASE_TTL_SECONDS);
      const nodes = [
        await all.node(SELF),
        await all.node({ ...SELF, id: '00000000000000bb', mac: CLONE_MAC, name: 'h2', seed: 2 }),
      ];
      const stop = new AbortController();
      const outcomes = nodes.map(async ({ holder, noteChange }) => {
        await holder.acquire(undefined, stop.signal);
        holder.run(noteChange, stop.signal).catch(() => undefined);
      });
      const settled = Promise.allSettled(outcomes);
      await all.clock.advance(4 * CHALLENGE_WAIT_MS);
      stop.abort();
      const failed = (await settled).flatMap((outcome) =>
        outcome.status === 'rejected' ? [outcome.reason] : [],
      );
      expect(failed).toMatchObject([{ code: 'conflict' }]);
      expect(nodes.map(inUse).filter((subnet) => subnet !== undefined)).toEqual([SUBNET]);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }));

  it('thousands of questions cost few writes and one line', () =>
    holderBed(async (all) => {
      const holder = await all.node(first);
      await holder.start(SUBNET);
      const seconds = 20;
      let asked = 0;
      for (let i = 0; i < seconds * 100; i++) {
        const entry = await all.kv.get(KEY);
        const value = { ...valueOf(first), Asked: valueOf(SELF).Node };
        if (entry !== undefined && (await all.kv.update(entry, JSON.stringify(value))) !== undefined) asked++;
        await all.clock.advance(10);
      }
      expect(asked).toBeGreaterThan(seconds * 90);
      expect(holder.counts['update']).toBeGreaterThanOrEqual(seconds - 2);
      expect(holder.counts['update']).toBeLessThanOrEqual(seconds + 2);
      expect(questions(holder)).toHaveLength(1);
      await all.clock.advance(2_000);
      expect(JSON.parse((await all.kv.get(KEY))?.value ?? '')).toEqual(valueOf(first));
      expect([holder.changes, inUse(holder)]).toEqual([[], SUBNET]);
    }));
});

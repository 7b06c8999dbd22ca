// A holder that announces other attributes, or is told to recheck its lease.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { DATASTORE_BACKOFF } from '../../../agent/model/limits.ts';
import { DAY_MS, holderBed, PREFIX } from './holder-bed.ts';

describe('another announcement', () => {
  it('an announcement is written to the same key and session, while the lease stays held', () =>
    holderBed(async ({ node, kv, clock }) => {
      const self = await node();
      await self.start('10.5.77.0/24');
      const key = `${PREFIX}/subnets/10.5.77.0-24`;
      const before = await kv.get(key);
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.11' } });
      await clock.advance(0);
      const after = await kv.get(key);
      expect(JSON.parse(after?.value ?? '')).toMatchObject({ PublicIP: '192.168.77.11' });
      expect(after?.session).toBe(before?.session);
      expect(self.holder.held?.lease.revision).toBe(after?.revision);
      const lines = self.lines.length;
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.11' } });
      await clock.advance(0);
      expect(self.lines).toHaveLength(lines);
      await clock.advance(3 * DAY_MS);
      expect((await kv.get(key))?.revision).toBe(after?.revision);
      expect(self.changes).toEqual([]);
    }));

  it('an announcement is written when the datastore is back', () =>
    holderBed(async ({ node, leases, clock }) => {
      const self = await node();
      await self.start('10.5.77.0/24');
      self.kv.setReachable(false);
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.11' } });
      await clock.advance(60_000);
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.12' } });
      self.kv.setReachable(true);
      await clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.12']);
      expect(self.changes).toEqual([]);
    }));

  it('an announcement is written though the answer to an earlier one was lost', () =>
    holderBed(async ({ node, leases, clock }) => {
      let lose = false;
      const self = await node({
        wrap: (store) => ({
          ...store,
          repair: async (...args) => {
            const held = await store.repair(...args);
            if (!lose) return held;
            lose = false;
            throw new TwillError('datastore', 'the answer was lost');
          },
        }),
      });
      await self.start('10.5.77.0/24');
      lose = true;
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.11' } });
      await clock.advance(0);
      expect(lose).toBe(false);
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.12' } });
      await clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.12']);
      expect(self.changes).toEqual([]);
    }));

  it('an announcement comes with a lease that is claimed after a loss', () =>
    holderBed(async ({ node, kv, leases, clock }) => {
      const self = await node();
      await self.start('10.5.77.0/24');
      const entry = await kv.get(`${PREFIX}/subnets/10.5.77.0-24`);
      if (entry !== undefined) await kv.delete(entry);
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.11' } });
      await clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.11']);
    }));

  it('an announcement during a new claim is written after it', () =>
    holderBed(async ({ node, kv, leases, clock }) => {
      let isSlow = false;
      const self = await node({
        wrap: (store) => ({
          ...store,
          claim: async (...args) => {
            const held = await store.claim(...args);
            if (isSlow) await clock.sleep(1_000);
            return held;
          },
        }),
      });
      await self.start('10.5.77.0/24');
      isSlow = true;
      const entry = await kv.get(`${PREFIX}/subnets/10.5.77.0-24`);
      if (entry !== undefined) await kv.delete(entry);
      await clock.advance(500);
      expect(self.holder.held).toBeUndefined();
      self.holder.announce({ ...self.attrs, publicIP: { ipv4: '192.168.77.11' } });
      await clock.advance(1_000);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.11']);
    }));
});

describe('a lease to recheck', () => {
  it('a recheck asks for the lease at once, with a condition until the store answers', () =>
    holderBed(async ({ node, clock }) => {
      const self = await node();
      await self.start('10.5.77.0/24');
      self.kv.setReachable(false);
      self.holder.recheck();
      await clock.advance(60_000);
      // The reason of the failed request follows.
      expect(self.reason()).toMatch(/^asking whether our lease still stands: .*cannot be reached$/);
      self.kv.setReachable(true);
      await clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(self.reason()).toBeUndefined();
      expect(self.changes).toEqual([]);
    }));
});

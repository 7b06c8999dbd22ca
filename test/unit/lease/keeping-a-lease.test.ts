// A holder that renews its lease, and claims it again after a loss.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { CHALLENGE_WAIT_MS, DATASTORE_BACKOFF, LEASE_TTL_SECONDS } from '../../../agent/model/limits.ts';
import { lease, leaseAttrs } from '../../support/build.ts';
import { DAY_MS, FLANNELS, type HolderBed, holderBed, MARGIN_MINUTES, PREFIX } from './holder-bed.ts';

describe('keeping a lease', () => {
  it('a holder renews its lease at the margin, and rewrites no key', () =>
    holderBed(async ({ node, kv, clock }) => {
      const renewals: number[] = [];
      const self = await node({
        wrap: (store) => ({
          ...store,
          renew: (held, signal) => {
            renewals.push(clock.monotonicMs());
            return store.renew(held, signal);
          },
        }),
      });
      await self.start('10.5.77.0/24');
      const granted = clock.monotonicMs();
      const before = await kv.get(`${PREFIX}/subnets/10.5.77.0-24`);
      await clock.advance(3 * DAY_MS);
      const period = DAY_MS - MARGIN_MINUTES * 60_000;
      expect(renewals).toHaveLength(3);
      // The wait began when it was granted, at most the moments of the claim earlier.
      for (const [i, at] of renewals.entries()) {
        expect(Math.abs(at - granted - period * (i + 1))).toBeLessThanOrEqual(2 * CHALLENGE_WAIT_MS);
      }
      expect(await kv.get(`${PREFIX}/subnets/10.5.77.0-24`)).toEqual(before);
      expect(self.changes).toEqual([]);
    }));

  it('a holder keeps its lease when the datastore is away at the renewal', () =>
    holderBed(async ({ node, leases, clock }) => {
      const self = await node();
      await self.start('10.5.77.0/24');
      await clock.advance(DAY_MS - MARGIN_MINUTES * 60_000 - 60_000);
      self.kv.setReachable(false);
      await clock.advance((MARGIN_MINUTES / 2) * 60_000);
      expect(self.lines).toContainEqual(expect.stringContaining('cannot renew the lease yet: '));
      self.kv.setReachable(true);
      await clock.advance(DATASTORE_BACKOFF.maxMs);
      await clock.advance(MARGIN_MINUTES * 60_000);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      expect(self.changes).toEqual([]);
    }));

  it('a holder renews a lease with a longer TTL no more often', () =>
    holderBed(async ({ node, write, clock }) => {
      let renewals = 0;
      await write('10.5.77.0/24', FLANNELS, 90 * LEASE_TTL_SECONDS);
      const self = await node({
        wrap: (store) => ({
          ...store,
          renew: (held, signal) => {
            renewals++;
            return store.renew(held, signal);
          },
        }),
      });
      await self.start();
      await clock.advance(10 * DAY_MS);
      expect(renewals).toBe(10);
    }));
});

describe('a lease that is lost', () => {
  const drop = async ({ kv }: HolderBed, subnet: string): Promise<void> => {
    const entry = await kv.get(`${PREFIX}/subnets/${subnet.replace('/', '-')}`);
    if (entry === undefined) throw new Error('no such lease');
    expect(await kv.delete(entry)).toBe(true);
  };

  it('a lost lease is claimed again with the same subnet when it is free', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start('10.5.77.0/24');
      await drop(all, '10.5.77.0/24');
      await all.clock.advance(0);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      expect(self.changes).toEqual(['10.5.77.0/24']);
      expect(self.holder.held?.lease.key).toBe('10.5.77.0-24');
    }));

  it('a lost lease is replaced by another one when another node has its subnet', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start('10.5.77.0/24');
      self.kv.setReachable(false);
      await all.clock.advance(0);
      await drop(all, '10.5.77.0/24');
      await all.write('10.5.77.0/24', { ...FLANNELS, PublicIP: '192.168.77.9' }, LEASE_TTL_SECONDS);
      self.kv.setReachable(true);
      await all.clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(self.changes).toHaveLength(1);
      expect(self.changes).not.toContain('10.5.77.0/24');
      expect((await all.leases()).sort()).toEqual(
        ['10.5.77.0/24 192.168.77.9', `${self.changes[0]} 192.168.77.1`].sort(),
      );
    }));

  it('a lease that expired unnoticed is claimed again though the table still lists it', () =>
    holderBed(async ({ node, leases, clock }) => {
      // The node gets no event of the store, only answers.
      const self = await node({
        wrap: (store) => ({
          ...store,
          renew: async (held) => {
            await store.release(held);
            return undefined;
          },
          async *watch() {
            yield* [
              {
                type: 'snapshot',
                config: undefined,
                leases: [lease('10.5.77.0/24', leaseAttrs('192.168.77.1'), { session: 'long gone' })],
                malformed: [],
                revision: 1,
              } as const,
            ];
          },
        }),
      });
      expect(await self.start()).toBe('10.5.77.0/24');
      await clock.advance(DAY_MS);
      expect(self.changes).toEqual(['10.5.77.0/24']);
      expect(await leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }));

  it('a lease that was lost before `run` is claimed again', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.acquire('10.5.77.0/24');
      await drop(all, '10.5.77.0/24');
      await all.clock.advance(0);
      expect(self.holder.held).toBeUndefined();
      const stop = new AbortController();
      const running = self.holder.run(self.noteChange, stop.signal);
      await all.clock.advance(0);
      expect(self.changes).toEqual(['10.5.77.0/24']);
      stop.abort();
      await expect(running).rejects.toThrow();
    }));

  it('a lease is not lost by older events or by those of another subnet', () =>
    holderBed(async ({ node }) => {
      const self = await node();
      await self.start('10.5.77.0/24');
      const held = self.holder.held;
      const revision = held?.lease.revision ?? 0;
      const removed = (subnet: string, at: number): void =>
        self.notice({ type: 'lease-removed', key: subnet.replace('/', '-'), revision: at });
      removed('10.5.77.0/24', revision - 1);
      removed('10.5.77.0/24', revision);
      removed('10.5.78.0/24', revision + 1);
      removed('10.5.77.0/25', revision + 1);
      expect(self.holder.held).toBe(held);
      removed('10.5.77.0/24', revision + 1);
      expect(self.holder.held).toBeUndefined();
    }));

  it('a lost lease is asked for repeatedly while the datastore fails or the network is full', () =>
    holderBed(async (all) => {
      let failure: TwillError | undefined;
      let tries = 0;
      const self = await all.node({
        wrap: (store) => ({
          ...store,
          claim: async (...args) => {
            tries++;
            if (failure !== undefined) throw failure;
            return store.claim(...args);
          },
        }),
      });
      await self.start('10.5.77.0/24');
      failure = new TwillError('exhausted', 'full', { hint: 'widen it' });
      tries = 0;
      await drop(all, '10.5.77.0/24');
      await all.clock.advance(60_000);
      expect(self.holder.held).toBeUndefined();
      // The reason is logged once, and said to those who ask.
      const said = self.lines.filter((line) => line.includes('cannot claim a lease again: full; widen it'));
      expect(said).toHaveLength(1);
      expect(self.reason()).toBe('claiming a lease again: full; widen it');
      expect(tries).toBeGreaterThan(10);
      expect(tries).toBeLessThan(40);
      failure = undefined;
      await all.clock.advance(DATASTORE_BACKOFF.maxMs);
      expect(self.changes).toEqual(['10.5.77.0/24']);
    }));
});

// A holder whose own key is overwritten, taken by another node, or gone.
import { describe, expect, it } from 'vitest';
import { formatSubnets } from '../../../agent/model/lease.ts';
import { DATASTORE_BACKOFF } from '../../../agent/model/limits.ts';
import { DAY_MS, FLANNELS, type HolderBed, holderBed, PREFIX, type TestNode } from './holder-bed.ts';

const KEY = `${PREFIX}/subnets/10.5.77.0-24`;
const SUBNET = '10.5.77.0/24';
const OTHER = { ...FLANNELS, PublicIP: '192.168.77.9', Node: { ID: '0000000000000099', Name: 'h9' } };

const inUse = ({ holder }: TestNode): string | undefined => holder.subnets && formatSubnets(holder.subnets);

async function entryOf({ kv }: HolderBed) {
  const entry = await kv.get(KEY);
  if (entry === undefined) throw new Error('no such key');
  return entry;
}

/** Writes our key as `etcdctl put` would; `session` undefined: it loses the one that it had. */
async function overwrite(all: HolderBed, value: string, session: string | undefined): Promise<void> {
  expect(await all.kv.update({ ...(await entryOf(all)), session }, value)).toBeDefined();
  await all.clock.advance(0);
}

/** A lease value with a question of another node; the value itself where it is none. */
function withQuestion(value: string): string {
  const asked = { ID: 'aaaaaaaaaaaaaaaa', Name: 'n'.repeat(253) };
  return value.startsWith('{') ? JSON.stringify({ ...JSON.parse(value), Asked: asked }) : value;
}

describe('our own key', () => {
  it.each([
    ['garbage', 'x', true],
    ['garbage without a session', '{broken', false],
    ['other attributes', JSON.stringify({ ...FLANNELS, BackendType: 'udp', Zone: 'a' }), true],
  ])('our key is rewritten at once after it was overwritten by %s', (_, value, keepsSession) =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      const before = await entryOf(all);
      await overwrite(all, value, keepsSession ? before.session : undefined);
      const after = await entryOf(all);
      expect(JSON.parse(after.value ?? '')).toMatchObject(JSON.parse(before.value ?? ''));
      expect(after.session).toBe(before.session);
      expect(self.lines).toContainEqual(expect.stringContaining('our lease was overwritten'));
      expect([self.changes, inUse(self)]).toEqual([[], SUBNET]);
      // It is kept alive as before.
      await all.clock.advance(3 * DAY_MS);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }),
  );

  it('a flood of writes on our key costs a write a second, and a few log lines', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      let foreign = 0;
      const from = (await all.kv.list('/')).revision;
      for (let tenths = 0; tenths < 1_000; tenths++) {
        const entry = await entryOf(all);
        const value = tenths % 2 === 0 ? 'x'.repeat(1_000) : withQuestion(entry.value ?? '');
        if ((await all.kv.update(entry, value)) !== undefined) foreign += 1;
        await all.clock.advance(100);
      }
      const writes = (await all.kv.list('/')).revision - from - foreign;
      expect(writes).toBeGreaterThan(50);
      expect(writes).toBeLessThanOrEqual(101);
      expect(self.lines.length).toBeLessThan(30);
      expect(inUse(self)).toBe(SUBNET);
    }));

  it('our key is rewritten with a new session when the old one has ended', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      const { session } = await entryOf(all);
      self.kv.setReachable(false);
      await all.clock.advance(0);
      await overwrite(all, 'x', undefined);
      await all.kv.closeSession(session ?? '');
      self.kv.setReachable(true);
      await all.clock.advance(2 * DATASTORE_BACKOFF.maxMs);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      expect((await entryOf(all)).session).not.toBe(session);
      expect(inUse(self)).toBe(SUBNET);
    }));

  it('an overwritten key sets a condition until it was read', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      self.kv.setReachable(false);
      self.notice({ type: 'snapshot', config: '{}', leases: [], malformed: [], revision: 1 });
      await all.clock.advance(60_000);
      expect(inUse(self)).toBe(SUBNET);
      expect(self.reason()).toMatch(/^asking whether our lease still stands: .*cannot be reached$/);
      self.kv.setReachable(true);
      await all.clock.advance(2 * DATASTORE_BACKOFF.maxMs);
      expect([inUse(self), self.reason(), self.changes]).toEqual([SUBNET, undefined, []]);
    }));

  it('our key becomes a reservation when it was written as one', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      await overwrite(all, (await entryOf(all)).value ?? '', undefined);
      expect(self.holder.held?.ttlSeconds).toBeUndefined();
      await all.clock.advance(3 * DAY_MS);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1 reserved']);
    }));

  it('repeated checks of our key cause at most one write', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      await overwrite(all, 'x', (await entryOf(all)).session);
      const { revision } = await entryOf(all);
      await all.clock.advance(DAY_MS);
      expect((await entryOf(all)).revision).toBe(revision);
    }));
});

describe('a subnet that another node took', () => {
  it.each([
    ['by an event', true],
    ['by the listing when the datastore is back', false],
  ])('a subnet that another node took is dropped and replaced, and both are logged: %s', (_, reachable) =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      let claims = 0;
      self.refuseClaims(() => {
        claims++;
        return claims < 5;
      });
      self.kv.setReachable(reachable);
      await overwrite(all, JSON.stringify(OTHER), undefined);
      self.kv.setReachable(true);
      if (!reachable) await all.clock.advance(DATASTORE_BACKOFF.firstMs);
      expect(inUse(self)).toBeUndefined();
      expect(self.reason()).toMatch(/^another node has our subnet: claiming another one/);
      await all.clock.advance(60_000);
      const [subnet = ''] = self.changes;
      expect(subnet).not.toBe(SUBNET);
      expect(inUse(self)).toBe(subnet);
      expect(self.lines).toContain(
        'error h1: another node has our subnet now: it is not used any more subnet=10.5.77.0/24 holder=192.168.77.9 name=h9',
      );
      expect(self.lines).toContain(
        `error h1: this node has another subnet from now on: start its containers anew was=10.5.77.0/24 is=${subnet}`,
      );
      expect(self.reason()).toBeUndefined();
    }),
  );

  it('a subnet that another node took is dropped when only the refused claim shows it', () =>
    holderBed(async (all) => {
      const self = await all.node({ wrap: (store) => ({ ...store, async *watch() {} }) });
      await self.start(SUBNET);
      const used: (string | undefined)[] = [];
      self.refuseClaims(() => {
        used.push(inUse(self));
        return false;
      });
      await all.kv.closeSession((await entryOf(all)).session ?? '');
      await all.write(SUBNET, OTHER);
      await all.clock.advance(DAY_MS);
      expect(used).toEqual([SUBNET, undefined]);
      expect(inUse(self)).toBe(self.changes[0]);
      expect(self.changes).not.toContain(SUBNET);
    }));
});

describe('a subnet whose lease is gone', () => {
  it('a subnet without a lease stays in use until it is claimed again, after any time', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      let refuses = true;
      self.refuseClaims(() => refuses);
      await all.kv.closeSession((await entryOf(all)).session ?? '');
      await all.clock.advance(3_600_000);
      expect(inUse(self)).toBe(SUBNET);
      expect(self.reason()).toMatch(/^claiming a lease again: ./);
      refuses = false;
      await all.clock.advance(DATASTORE_BACKOFF.maxMs);
      expect([inUse(self), self.reason()]).toEqual([SUBNET, undefined]);
      expect(self.changes).toEqual([SUBNET]);
    }));

  it('a subnet stays in use while the datastore is away for longer than the TTL, and is claimed afterwards', () =>
    holderBed(async (all) => {
      // A life of ten minutes, so that the test has fewer attempts to wait for.
      await all.write(SUBNET, FLANNELS, 600);
      const self = await all.node();
      await self.start();
      self.kv.setReachable(false);
      await all.clock.advance(1_200_000);
      expect(await all.leases()).toEqual([]);
      expect(inUse(self)).toBe(SUBNET);
      self.kv.setReachable(true);
      await all.clock.advance(2 * DATASTORE_BACKOFF.maxMs);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      expect(inUse(self)).toBe(SUBNET);
    }));

  it('a lost subnet is claimed again only with a network configuration', () =>
    holderBed(async (all) => {
      let hasConfig = true;
      const self = await all.node({ hasConfig: () => hasConfig });
      await self.start(SUBNET);
      hasConfig = false;
      await all.kv.closeSession((await entryOf(all)).session ?? '');
      await all.clock.advance(DAY_MS);
      expect(await all.leases()).toEqual([]);
      expect([inUse(self), self.reason()]).toEqual([
        SUBNET,
        'the network configuration is gone from the datastore: waiting for it',
      ]);
      hasConfig = true;
      self.notice({ type: 'config', text: '{}' });
      await all.clock.advance(0);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      expect(self.changes).toEqual([SUBNET]);
    }));

  it('a subnet is claimed again when the event of its loss precedes the answer to its claim', () =>
    holderBed(async (all) => {
      let answers = 0;
      const self = await all.node({
        wrap: (store) => ({
          ...store,
          async claim(...args) {
            const held = await store.claim(...args);
            if (answers++ === 0) {
              await all.kv.closeSession((await entryOf(all)).session ?? '');
              await all.clock.sleep(100);
            }
            return held;
          },
        }),
      });
      await self.start(SUBNET);
      await all.clock.advance(1_000);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
      expect(answers).toBe(2);
    }));

  it('a lost subnet is claimed again when a snapshot brings the configuration back', () =>
    holderBed(async (all) => {
      let hasConfig = true;
      const self = await all.node({ hasConfig: () => hasConfig });
      await self.start(SUBNET);
      hasConfig = false;
      await all.kv.closeSession((await entryOf(all)).session ?? '');
      await all.clock.advance(1_000);
      hasConfig = true;
      self.notice({ type: 'snapshot', config: '{}', leases: [], malformed: [], revision: 99 });
      await all.clock.advance(0);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }));

  it('a subnet stays ours after a false event of its removal', () =>
    holderBed(async (all) => {
      const self = await all.node();
      await self.start(SUBNET);
      self.notice({ type: 'lease-removed', key: SUBNET.replace('/', '-'), revision: 99 });
      await all.clock.advance(0);
      expect(self.changes).toEqual([SUBNET]);
      expect(await all.leases()).toEqual(['10.5.77.0/24 192.168.77.1']);
    }));
});

// The part of the lease store's conformance suite that concerns a node's own lease.
import { describe, expect, it } from 'vitest';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { formatLeaseValue } from '../../agent/model/lease.ts';
import { attrsOf, follow, next, subnetOf } from './leases.ts';

/** Asserts that the lease is held. */
export function present<T>(found: T | undefined): T {
  expect(found).toBeDefined();
  return found as T;
}

/** Tests a store at a prefix that no other test uses. */
export function describeOwnLease(
  parts: () => { readonly kv: Kv; readonly store: KvLeaseStore; readonly prefix: string },
): void {
  describe('a lease of our own', () => {
    it('our own lease is adopted from an earlier run, and written only if it differs', async () => {
      const { kv, store, prefix } = parts();
      const value = JSON.stringify({ ...JSON.parse(formatLeaseValue(attrsOf(1))), Zone: { rack: 7 } });
      const session = await kv.openSession(100);
      await kv.create(`${prefix}/subnets/10.0.1.0-24`, value, session);
      const lease = (await next(follow(store), 'snapshot')).leases[0];
      if (lease === undefined) throw new Error('no lease');
      const same = present(await store.adopt(lease, attrsOf(1)));
      expect(same).toEqual({ lease, ttlSeconds: 100 });
      expect((await kv.get(`${prefix}/subnets/10.0.1.0-24`))?.value).toBe(value);
      const changed = present(await store.adopt(lease, attrsOf(1, { backendType: 'host-gw' })));
      expect(changed.lease.revision).toBeGreaterThan(lease.revision);
      const entry = await kv.get(`${prefix}/subnets/10.0.1.0-24`);
      expect(entry?.session).toBe(session);
      expect(JSON.parse(entry?.value ?? '')).toMatchObject({ BackendType: 'host-gw', Zone: { rack: 7 } });
    });

    it('our own lease is taken from our former address under a session of its own, if it is unchanged', async () => {
      const { kv, store, prefix } = parts();
      const former = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const now = attrsOf(1, { publicIP: { ipv4: '192.168.7.7' } });
      const moved = present(await store.adopt(former.lease, now));
      expect(moved.lease.session).not.toBe(former.lease.session);
      expect(await kv.get(`${prefix}/subnets/10.0.1.0-24`)).toMatchObject({ session: moved.lease.session });
      expect(await store.adopt(former.lease, attrsOf(1)), 'an older revision').toBeUndefined();
    });

    it('our own lease is not written over a clone of this machine that has it', async () => {
      const { kv, store, prefix } = parts();
      const mac = (last: string) => ({
        id: '0000000000000001',
        mac: `02:00:00:00:00:${last}`,
        name: 'node-1',
      });
      const ours = attrsOf(1, { node: mac('01') });
      const held = present(await store.claim({ ipv4: subnetOf(1) }, ours));
      const key = `${prefix}/subnets/10.0.1.0-24`;
      for (const publicIP of ['192.168.0.1', '192.168.7.7']) {
        const clone = attrsOf(1, { node: mac('02'), publicIP: { ipv4: publicIP } });
        const entry = await kv.get(key);
        // In our own session, as an older version took leases over.
        const theirs = entry && (await kv.update(entry, formatLeaseValue(clone)));
        expect(await store.repair(held, ours)).toBeUndefined();
        expect(await kv.get(key)).toEqual(theirs);
      }
    });

    it('our own lease is not adopted when it is gone', async () => {
      const { store } = parts();
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      await store.release(held);
      expect(await store.adopt(held.lease, attrsOf(1))).toBeUndefined();
    });

    it("our own lease is not confused with another node's lease of the same revision, as a store that lost its data may have", async () => {
      const { kv, store, prefix } = parts();
      const ours = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const key = `${prefix}/subnets/10.0.1.0-24`;
      await store.release(ours);
      const theirs = await kv.create(key, formatLeaseValue(attrsOf(2)), await kv.openSession(100));
      const known = { ...ours.lease, revision: theirs?.revision ?? 0 };
      expect(await store.adopt(known, attrsOf(1))).toBeUndefined();
      expect(await kv.get(key)).toEqual(theirs);
    });

    it("our own lease is taken over from another node only if the other's lease is unchanged", async () => {
      const { store } = parts();
      const asked = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(2)));
      const moved = present(await store.repair(asked, attrsOf(2, { publicIP: { ipv4: '192.168.7.7' } })));
      expect(await store.adopt(asked.lease, attrsOf(1))).toBeUndefined();
      expect(present(await store.adopt(moved.lease, attrsOf(1))).lease.attrs.node?.name).toBe('node-1');
    });

    it('our own lease stays a reservation without a session through adoption, renewal and release', async () => {
      const { kv, store, prefix } = parts();
      const key = `${prefix}/subnets/10.0.1.0-24`;
      await kv.create(key, formatLeaseValue(attrsOf(1, { node: undefined })), undefined);
      const lease = (await next(follow(store), 'snapshot')).leases[0];
      if (lease === undefined) throw new Error('no lease');
      const held = present(await store.adopt(lease, attrsOf(1)));
      expect(held.ttlSeconds).toBeUndefined();
      expect(held.lease.session).toBeUndefined();
      expect((await kv.get(key))?.value).toContain('"Node"');
      expect(present(await store.renew(held)).ttlSeconds).toBeUndefined();
      await store.release(held);
      expect(await kv.get(key)).toMatchObject({ session: undefined });
    });

    it('our own reservation keeps its revision when it is renewed, so that a challenge is still news', async () => {
      const { kv, store, prefix } = parts();
      const key = `${prefix}/subnets/10.0.1.0-24`;
      await kv.create(key, formatLeaseValue(attrsOf(1)), undefined);
      const lease = present((await next(follow(store), 'snapshot')).leases[0]);
      const held = present(await store.adopt(lease, attrsOf(1)));
      const by = { id: '00000000000000ff', mac: undefined, name: 'asker' };
      await kv.update(present(await kv.get(key)), formatLeaseValue(attrsOf(1), by));
      expect(present(await store.renew(held)).lease.revision).toBe(held.lease.revision);
      expect(present(await store.repair(held, attrsOf(1))).lease.asked).toBeUndefined();
      expect((await kv.get(key))?.value).toBe(formatLeaseValue(attrsOf(1)));
    });

    it('our own lease is repaired over other attributes and garbage, with its session, and not written if it is right', async () => {
      const { kv, store, prefix } = parts();
      const key = `${prefix}/subnets/10.0.1.0-24`;
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      expect(await store.repair(held, attrsOf(1))).toEqual(held);
      for (const value of [
        formatLeaseValue(attrsOf(1, { node: undefined, backendType: 'udp' })),
        '{broken',
      ]) {
        const entry = await kv.get(key);
        if (entry === undefined) throw new Error('no lease');
        // Garbage comes without a session, as from a command line.
        await kv.update({ ...entry, session: value.startsWith('{b') ? undefined : entry.session }, value);
        const repaired = present(await store.repair(held, attrsOf(1)));
        expect(repaired).toMatchObject({ lease: { attrs: attrsOf(1), session: held.lease.session } });
        expect(repaired.ttlSeconds).toBe(86_400);
        expect(await kv.get(key)).toEqual({
          key,
          value: formatLeaseValue(attrsOf(1)),
          revision: repaired.lease.revision,
          created: held.lease.created,
          session: held.lease.session,
        });
      }
    });

    it('our own lease is not repaired over the lease of another node, nor when it is gone', async () => {
      const { kv, store, prefix } = parts();
      const key = `${prefix}/subnets/10.0.1.0-24`;
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const entry = await kv.get(key);
      const theirs = entry && (await kv.update(entry, formatLeaseValue(attrsOf(2))));
      expect(await store.repair(held, attrsOf(1))).toBeUndefined();
      expect(await kv.get(key)).toEqual(theirs);
      if (theirs !== undefined) await kv.delete(theirs);
      expect(await store.repair(held, attrsOf(1))).toBeUndefined();
      expect(await kv.get(key)).toBeUndefined();
    });

    it('our own lease is not renewed if it is a reservation that is gone or belongs to another node', async () => {
      const { kv, store, prefix } = parts();
      const key = `${prefix}/subnets/10.0.1.0-24`;
      const entry = await kv.create(key, formatLeaseValue(attrsOf(1)), undefined);
      const lease = (await next(follow(store), 'snapshot')).leases[0];
      if (lease === undefined || entry === undefined) throw new Error('no lease');
      const held = present(await store.adopt(lease, attrsOf(1)));
      const taken = await kv.update(entry, formatLeaseValue(attrsOf(2)));
      expect(await store.renew(held)).toBeUndefined();
      if (taken !== undefined) await kv.delete(taken);
      expect(await store.renew(held)).toBeUndefined();
    });
  });
}

// The conformance suite of the lease store, for every datastore.
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { formatLeaseValue, formatSubnets } from '../../agent/model/lease.ts';
import { waitFor } from '../lab/wait.ts';
import type { KvBed } from './kv-suite.ts';
import { attrsOf, counted, follow, leaseStoreOver, next, subnetOf } from './leases.ts';
import { describeOwnLease, present } from './own-lease-suite.ts';

const ASKER = { id: 'abcdef0123456789', mac: '02:00:00:00:00:07', name: 'asker' };

/** Tests the lease store over one kind of datastore, which is made for `manyLeases`. */
export function describeLeaseStore(
  title: string,
  isSkipped: boolean,
  openBed: () => Promise<KvBed>,
  manyLeases = 5_000,
): void {
  describe.skipIf(isSkipped)(title, () => {
    let bed: KvBed;
    let kv: Kv;
    let store: KvLeaseStore;
    let other: KvLeaseStore;
    let otherKv: Kv;
    let prefix: string;
    let tests = 0;
    beforeAll(async () => {
      bed = await openBed();
      kv = await bed.open();
      otherKv = await bed.open();
    });
    afterAll(async () => {
      await kv?.[Symbol.asyncDispose]();
      await otherKv?.[Symbol.asyncDispose]();
      await bed?.[Symbol.asyncDispose]();
    });
    beforeEach(() => {
      tests += 1;
      prefix = `/net${tests}`;
      store = leaseStoreOver(kv, prefix);
      other = leaseStoreOver(otherKv, prefix);
    });

    it('the lease store writes, rewrites and reads the network configuration', async () => {
      expect(await store.config.read()).toBeUndefined();
      await store.config.write('{"Network":"10.5.0.0/16"}');
      await other.config.write('{"Network":"10.6.0.0/16"}');
      expect(await store.config.read()).toBe('{"Network":"10.6.0.0/16"}');
      expect(store.config.where).toBe(`${prefix}/config`);
    });

    it('the lease store reports a change and the removal of the network configuration', async () => {
      const events = follow(store);
      expect((await next(events, 'snapshot')).config).toBeUndefined();
      await other.config.write('{}');
      expect(await next(events, 'config')).toEqual({ type: 'config', text: '{}' });
      const entry = await kv.get(`${prefix}/config`);
      if (entry !== undefined) await kv.delete(entry);
      await waitFor('the removal', 5_000, () =>
        events.some((event) => event.type === 'config' && event.text === undefined),
      );
    });

    it("the lease store claims a subnet under flannel's key with flannel's value, and a session", async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      expect(held.ttlSeconds).toBe(86_400);
      const entry = await otherKv.get(`${prefix}/subnets/10.0.1.0-24`);
      expect(entry?.value).toBe(
        '{"PublicIP":"192.168.0.1","PublicIPv6":null,"BackendType":"vxlan",' +
          '"BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:01"},"Node":{"ID":"0000000000000001","Name":"node-1"}}',
      );
      expect(entry?.session).toBe(held.lease.session);
      expect(entry?.session).toBeDefined();
    });

    it('the lease store reports claims, changes and releases of all nodes, including our own', async () => {
      const events = follow(store);
      expect((await next(events, 'snapshot')).leases).toEqual([]);
      const own = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const theirs = present(await other.claim({ ipv4: subnetOf(2) }, attrsOf(2)));
      await other.release(
        present(await other.repair(theirs, attrsOf(2, { publicIP: { ipv4: '192.168.9.9' } }))),
      );
      const removed = await next(events, 'lease-removed');
      expect(removed.key).toBe('10.0.2.0-24');
      expect(removed.revision).toBeGreaterThan(theirs.lease.revision);
      const told = events.flatMap((event) => (event.type === 'lease' ? event.lease : []));
      expect(told[0]).toEqual(own.lease);
      expect(told.map(({ subnets, attrs }) => `${formatSubnets(subnets)} ${attrs.publicIP.ipv4}`)).toEqual([
        '10.0.1.0/24 192.168.0.1',
        '10.0.2.0/24 192.168.0.2',
        '10.0.2.0/24 192.168.9.9',
      ]);
    });

    it('the lease store reports malformed entries apart from leases, and loses no lease', async () => {
      await kv.create(`${prefix}/subnets/10.0.1.0-24`, formatLeaseValue(attrsOf(1)), undefined);
      await kv.create(`${prefix}/subnets/garbage`, '{}', undefined);
      await kv.create(`${prefix}/subnets/10.0.2.0-24`, '{"PublicIP":"nonsense"}', undefined);
      await kv.create(`${prefix}/subnets/10.0.3.7-24`, formatLeaseValue(attrsOf(3)), undefined);
      await kv.create(`${prefix}/unknown`, 'y', undefined);
      const events = follow(store);
      const { leases, malformed } = await next(events, 'snapshot');
      expect(leases.map(({ subnets }) => formatSubnets(subnets))).toEqual(['10.0.1.0/24']);
      expect(malformed.map(({ where, key }) => [where, key])).toEqual([
        [`${prefix}/subnets/10.0.2.0-24`, '10.0.2.0-24'],
        [`${prefix}/subnets/10.0.3.7-24`, undefined],
        [`${prefix}/subnets/garbage`, undefined],
      ]);
      await kv.create(`${prefix}/subnets/10.0.4.0-24`, 'not json', undefined);
      const { entry } = await next(events, 'malformed');
      expect(entry.key).toBe('10.0.4.0-24');
      expect(entry.reason).toContain(`${prefix}/subnets/10.0.4.0-24: not valid JSON`);
    });

    it('the lease store gives each of 30 concurrent claimants one of 31 subnets', async () => {
      const stores = Array.from({ length: 30 }, (_, i) => leaseStoreOver(i % 2 === 0 ? kv : otherKv, prefix));
      const won = await Promise.all(
        stores.map(async (claimant, node) => {
          for (;;) {
            const taken = await kv.list(`${prefix}/subnets/`);
            const free = Array.from({ length: 31 }, (_, i) => i + 1).filter(
              (i) => !taken.entries.some(({ key }) => key.endsWith(`/10.0.${i}.0-24`)),
            );
            const pick = free[Math.floor(Math.random() * free.length)] ?? 1;
            const held = await claimant.claim({ ipv4: subnetOf(pick) }, attrsOf(node));
            if (held !== undefined) return held;
          }
        }),
      );
      expect(new Set(won.map(({ lease }) => lease.key)).size).toBe(30);
      expect(new Set(won.map(({ lease }) => lease.session)).size).toBe(30);
    });

    it('the lease store reuses the session of a lost claim, and closes it on disposal', async () => {
      await other.claim({ ipv4: subnetOf(1) }, attrsOf(1));
      const { kv: watchedKv, counts } = counted(await bed.open());
      const claimant = leaseStoreOver(watchedKv, prefix);
      expect(await claimant.claim({ ipv4: subnetOf(1) }, attrsOf(2))).toBeUndefined();
      expect(await claimant.claim({ ipv4: subnetOf(1) }, attrsOf(2))).toBeUndefined();
      expect(await claimant.claim({ ipv4: subnetOf(1) }, attrsOf(2))).toBeUndefined();
      expect(counts['openSession']).toBe(1);
      await claimant[Symbol.asyncDispose]();
      expect(counts['closeSession']).toBe(1);
    });

    it('the lease store gives a fresh snapshot after the store lost its data, then later changes', {
      timeout: 60_000,
    }, async () => {
      const own = await openBed();
      onTestFinished(() => own[Symbol.asyncDispose]());
      const [follower, writer] = [await own.open(), await own.open()];
      onTestFinished(() => follower[Symbol.asyncDispose]());
      onTestFinished(() => writer[Symbol.asyncDispose]());
      const writing = leaseStoreOver(writer, prefix);
      for (const n of [1, 2, 3]) present(await writing.claim({ ipv4: subnetOf(n) }, attrsOf(n)));
      const events = follow(leaseStoreOver(follower, prefix));
      expect((await next(events, 'snapshot')).leases).toHaveLength(3);
      const before = events.length;
      await own.wipe();
      // Behind etcd's gRPC proxy the watch stays open: it is noticed to be silent.
      await waitFor('an empty snapshot', 40_000, () =>
        events.slice(before).some((event) => event.type === 'snapshot' && event.leases.length === 0),
      );
      const after = events.length;
      present(await writing.claim({ ipv4: subnetOf(9) }, attrsOf(9)));
      expect((await next(events, 'lease', after)).lease.subnets.ipv4).toEqual(subnetOf(9));
    });

    describeOwnLease(() => ({ kv, store, prefix }));

    it('the lease store renews a lease without waking a watcher or writing the key', async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const events = follow(other);
      await next(events, 'snapshot');
      for (let i = 0; i < 5; i++) expect(await store.renew(held)).toEqual(held);
      await other.config.write('{}');
      await next(events, 'config');
      expect(events.map(({ type }) => type)).toEqual(['snapshot', 'config']);
    });

    it('the lease store does not renew a revoked lease', async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      await kv.closeSession(held.lease.session ?? '');
      expect(await store.renew(held)).toBeUndefined();
    });

    it(`the lease store reads ${manyLeases} leases with one listing and one watch`, async () => {
      const session = await kv.openSession(600);
      await Promise.all(
        Array.from({ length: 50 }, async (_, worker) => {
          for (let i = worker; i < manyLeases; i += 50) {
            await kv.create(
              `${prefix}/subnets/10.${i >> 8}.${i & 255}.0-24`,
              formatLeaseValue(attrsOf(i)),
              session,
            );
          }
        }),
      );
      const { kv: watchedKv, counts } = counted(otherKv);
      const events = follow(leaseStoreOver(watchedKv, prefix));
      expect((await next(events, 'snapshot')).leases).toHaveLength(manyLeases);
      await store.config.write('{}');
      await next(events, 'config');
      expect(counts).toEqual({ list: 1, watch: 1 });
    });

    it('the lease store gets an answer to a challenge from a running holder', async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const events = follow(store);
      await next(events, 'snapshot');
      const asked = other.challenge(held.lease, ASKER, 5_000);
      const { lease } = await next(events, 'lease');
      expect(lease).toEqual({ ...held.lease, revision: lease.revision, asked: ASKER });
      const repaired = present(await store.repair(held, attrsOf(1)));
      expect(repaired.lease.session).toBe(held.lease.session);
      expect(await asked).toEqual({ kind: 'alive' });
      expect((await kv.get(`${prefix}/subnets/10.0.1.0-24`))?.value).toBe(formatLeaseValue(attrsOf(1)));
    });

    it('the lease store gets an answer to a challenge from a holder that is starting', async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const asked = other.challenge(held.lease, ASKER, 5_000);
      await waitFor('the challenge', 5_000, async () =>
        (await kv.get(`${prefix}/subnets/10.0.1.0-24`))?.value?.includes('"Asked"'),
      );
      const { leases } = await next(follow(store), 'snapshot');
      expect(leases).toMatchObject([{ key: held.lease.key, asked: ASKER }]);
      present(await store.adopt(held.lease, attrsOf(1)));
      expect(await asked).toEqual({ kind: 'alive' });
    });

    it('the lease store writes our lease again although nodes ask about it at the same time', async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const key = `${prefix}/subnets/10.0.1.0-24`;
      const value = formatLeaseValue(attrsOf(1), ASKER);
      let races = 0;
      const raced = leaseStoreOver(
        {
          ...kv,
          get: (...args) => kv.get(...args),
          keepAlive: (...args) => kv.keepAlive(...args),
          async update(entry, ...rest) {
            const now = await kv.get(key);
            if (races++ < 3 && now !== undefined) await kv.update(now, value);
            return kv.update(entry, ...rest);
          },
        },
        prefix,
      );
      const now = present(await raced.repair(held, attrsOf(1, { publicIP: { ipv4: '192.168.7.7' } })));
      expect(races).toBe(4);
      expect(present(await store.renew(now)).lease.revision).toBe(now.lease.revision);
    });

    it("the lease store adopts another node's lease with a session that the other node cannot end", async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const taken = present(await other.adopt(held.lease, attrsOf(2)));
      await otherKv.closeSession(held.lease.session ?? '');
      expect(present(await other.renew(taken)).lease.attrs.node).toEqual(attrsOf(2).node);
    });

    it('the lease store leaves two concurrent challenges unanswered, and lets one asker take the lease', async () => {
      const held = present(await store.claim({ ipv4: subnetOf(1) }, attrsOf(1)));
      const started = systemClock.monotonicMs();
      const [first, second] = await Promise.all([
        other.challenge(held.lease, ASKER, 600),
        store.challenge(held.lease, { ...ASKER, name: 'second' }, 600),
      ]);
      expect(systemClock.monotonicMs() - started).toBeLessThan(3_000);
      if (first.kind !== 'silent' || second.kind !== 'silent') throw new Error('an answer');
      const takeovers = [
        await other.adopt(first.lease, attrsOf(2)),
        await store.adopt(second.lease, attrsOf(3)),
      ];
      expect(takeovers.filter((taken) => taken !== undefined)).toHaveLength(1);
      expect(await store.repair(held, attrsOf(1))).toBeUndefined();
    });
  });
}

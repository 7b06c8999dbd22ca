// The lease store over the store in memory. Only this store can lose a connection at a given moment.
import { expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { createMemoryStore } from '../fakes/memory-kv.ts';
import { waitFor } from '../lab/wait.ts';
import { describeLeaseStore } from './lease-store-suite.ts';
import { attrsOf, follow, leaseStoreOver, next, subnetOf } from './leases.ts';

describeLeaseStore('leases in the store in memory', false, async () => {
  const store = createMemoryStore(systemClock);
  return {
    open: async () => store.open(),
    compact: async () => store.compact(),
    wipe: async () => store.wipe(),
    [Symbol.asyncDispose]: async () => undefined,
  };
});

it('the lease watch resumes from the last revision after a lost connection', async () => {
  const memory = createMemoryStore(systemClock);
  const kv = memory.open();
  const other = leaseStoreOver(memory.open(), '/net');
  await other.claim({ ipv4: subnetOf(9) }, attrsOf(9));
  const events = follow(leaseStoreOver(kv, '/net'));
  await next(events, 'snapshot');
  kv.setReachable(false);
  expect((await next(events, 'disconnected')).error).toMatchObject({ code: 'datastore' });
  await other.claim({ ipv4: subnetOf(1) }, attrsOf(1));
  await waitFor('a second attempt', 5_000, () => events.filter(({ type }) => type === 'disconnected')[1]);
  kv.setReachable(true);
  await next(events, 'connected');
  expect((await next(events, 'lease')).lease.subnets.ipv4).toEqual(subnetOf(1));
  expect(events.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
});

it('the lease watch gives a fresh snapshot after the store was replaced, also by one with a higher revision', async () => {
  const memory = createMemoryStore(systemClock);
  const kv = memory.open();
  const other = leaseStoreOver(memory.open(), '/net');
  await other.claim({ ipv4: subnetOf(1) }, attrsOf(1));
  const events = follow(leaseStoreOver(kv, '/net'));
  await next(events, 'snapshot');
  kv.setReachable(false);
  await next(events, 'disconnected');
  memory.wipe();
  // The same lease of the same node at the same revision, and more.
  for (const n of [1, 2, 3]) await other.claim({ ipv4: subnetOf(n) }, attrsOf(n));
  kv.setReachable(true);
  expect((await next(events, 'snapshot', 1)).leases).toHaveLength(3);
});

it('the lease watch gives a fresh snapshot if history was lost during a lost connection', async () => {
  const memory = createMemoryStore(systemClock);
  const kv = memory.open();
  const events = follow(leaseStoreOver(kv, '/net'));
  const other = leaseStoreOver(memory.open(), '/net');
  await next(events, 'snapshot');
  kv.setReachable(false);
  await next(events, 'disconnected');
  await other.claim({ ipv4: subnetOf(1) }, attrsOf(1));
  memory.compact();
  kv.setReachable(true);
  const { leases } = await next(events, 'snapshot', 1);
  expect(leases.map(({ subnets }) => subnets.ipv4)).toEqual([subnetOf(1)]);
});

it('the lease watch reports a datastore that has never answered as disconnected, then starts', async () => {
  const memory = createMemoryStore(systemClock);
  const kv = memory.open();
  kv.setReachable(false);
  const events = follow(leaseStoreOver(kv, '/net'));
  await next(events, 'disconnected');
  kv.setReachable(true);
  await next(events, 'snapshot');
  expect(events.map(({ type }) => type).filter((type) => type !== 'disconnected')).toEqual([
    'connected',
    'snapshot',
  ]);
});

// The lease watch when history is lost, during a lost connection and while the process is suspended.
import { expect, it } from 'vitest';
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import { watchLeases } from '../../../agent/datastore/lease-watch.ts';
import type { Kv } from '../../../agent/model/kv.ts';
import { formatSubnets } from '../../../agent/model/lease.ts';
import { createMemoryStore } from '../../fakes/memory-kv.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('the lease watch lists at once if history is lost, after any absence of the datastore', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  // As in etcd, a watch is established before it says that its revision is gone.
  const kv: Kv = {
    ...own,
    async *watch(prefix, from, signal) {
      await own.list(prefix, signal);
      yield [{ type: 'progress', revision: from - 1 }];
      yield* own.watch(prefix, from, signal);
    },
  };
  const seen: { readonly type: string; readonly atMs: number }[] = [];
  const end = new AbortController();
  const follow = async (): Promise<void> => {
    for await (const { type } of watchLeases(kv, createLeaseKeys('/net'), clock, () => 0.5, end.signal)) {
      seen.push({ type, atMs: clock.monotonicMs() });
    }
  };
  const followed = follow();
  const other = memory.open();
  // It is still there afterwards: the store is the same one.
  await other.create('/net/subnets/10.5.1.0-24', '{}', await other.openSession(86_400));
  await clock.advance(1_000);
  own.setReachable(false);
  await clock.advance(60_000);
  await other.create('/net/x', '{}', undefined);
  memory.compact();
  own.setReachable(true);
  const from = seen.length;
  await clock.advance(10_000);
  end.abort();
  await followed;

  const after = seen.slice(from);
  const atOf = (wanted: string): number | undefined => after.find(({ type }) => type === wanted)?.atMs;
  expect(atOf('snapshot')).toBeDefined();
  expect(atOf('snapshot')).toBe(atOf('connected'));
});

it('the lease watch lists again if the process was suspended between listing and watch', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  let stopMs = 60_000;
  const kv: Kv = {
    ...own,
    async *watch(prefix, from, signal) {
      await clock.sleep(stopMs);
      stopMs = 0;
      yield* own.watch(prefix, from, signal);
    },
  };
  const other = memory.open();
  const write = async (subnet: string): Promise<unknown> =>
    other.create(`/net/subnets/${subnet}-24`, '{"PublicIP":"10.0.0.1"}', await other.openSession(86_400));
  await write('10.5.1.0');
  await write('10.5.2.0');
  const end = new AbortController();
  let known: string[] = [];
  const follow = async (): Promise<void> => {
    for await (const event of watchLeases(kv, createLeaseKeys('/net'), clock, () => 0.5, end.signal)) {
      if (event.type === 'snapshot') known = event.leases.map(({ subnets }) => formatSubnets(subnets));
      if (event.type === 'lease') known.push(formatSubnets(event.lease.subnets));
    }
  };
  const followed = follow();
  await clock.advance(1_000);
  expect(known).toEqual(['10.5.1.0/24', '10.5.2.0/24']);
  // The new store has passed the old revision when the watch begins.
  memory.wipe();
  for (const subnet of ['10.5.3.0', '10.5.4.0', '10.5.5.0']) await write(subnet);
  await clock.advance(60_000);
  end.abort();
  await followed;
  expect(known).toEqual(['10.5.3.0/24', '10.5.4.0/24', '10.5.5.0/24']);
});

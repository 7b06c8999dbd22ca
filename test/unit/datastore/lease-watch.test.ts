// What the watch of leases tells when the connection breaks and history is lost at the same time.
import { expect, it } from 'vitest';
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import { watchLeases } from '../../../agent/datastore/lease-watch.ts';
import { createMemoryStore } from '../../../agent/datastore/memory-kv.ts';
import type { Kv } from '../../../agent/model/kv.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('lists at once when it finds history lost, however long the datastore was away', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  // As etcd does: a watch stands before it says that its revision is gone.
  const kv: Kv = {
    ...own,
    async *watch(prefix, from, signal) {
      await own.get(prefix, signal);
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
  // Still there afterwards: the store is the same one.
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

// The lease watch when history is lost, during a lost connection and while the process is suspended.
import { expect, it } from 'vitest';
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import { watchLeases } from '../../../agent/datastore/lease-watch.ts';
import { type Kv, type KvEvent, Reconnecting } from '../../../agent/model/kv.ts';
import { formatSubnets } from '../../../agent/model/lease.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
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

const LEASE = '{"PublicIP":"10.0.0.1"}';

/** Follows a store until `work` has ended. */
async function followed(
  kv: Kv,
  clock: ReturnType<typeof createVirtualClock>,
  work: (events: readonly StoreEvent[]) => Promise<void>,
): Promise<void> {
  const events: StoreEvent[] = [];
  const end = new AbortController();
  const reading = (async () => {
    for await (const event of watchLeases(kv, createLeaseKeys('/net'), clock, () => 0.5, end.signal))
      events.push(event);
  })();
  await clock.advance(1_000);
  await work(events);
  end.abort();
  await reading;
  expect(clock.sleepers).toBe(0);
}

it('the lease watch misses no change of the configuration that a later lease has overtaken', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  const other = memory.open();
  const config = await other.create('/net/config', 'first', undefined);
  await other.create('/net/subnets/10.5.1.0-24', LEASE, await other.openSession(86_400));
  let holdsBack = true;
  const kv: Kv = {
    ...own,
    // Of two watches on one stream, that of the configuration is late.
    async *watch(ranges, from, signal) {
      const isLate = (event: KvEvent): boolean =>
        holdsBack && event.type === 'put' && event.entry.key === '/net/config';
      for await (const batch of own.watch(ranges, from, signal))
        yield batch.filter((event) => !isLate(event));
    },
  };
  await followed(kv, clock, async (events) => {
    if (config === undefined) throw new Error('no configuration');
    await other.update(config, 'second');
    await other.create('/net/subnets/10.5.2.0-24', LEASE, await other.openSession(86_400));
    await clock.advance(1_000);
    expect(events.filter(({ type }) => type === 'config')).toEqual([]);
    own.setReachable(false);
    holdsBack = false;
    await clock.advance(1_000);
    own.setReachable(true);
    await clock.advance(60_000);
    expect(events.filter(({ type }) => type === 'config')).toEqual([{ type: 'config', text: 'second' }]);
    expect(events.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'lease')).toHaveLength(1);
  });
});

it('the lease watch tells no old configuration anew after a lost connection', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  const other = memory.open();
  let config = await other.create('/net/config', '0', undefined);
  await other.create('/net/subnets/10.5.1.0-24', LEASE, await other.openSession(86_400));
  await followed(own, clock, async (events) => {
    for (const text of ['1', '2', '3']) {
      if (config !== undefined) config = await other.update(config, text);
      await clock.advance(1_000);
    }
    own.setReachable(false);
    await clock.advance(1_000);
    own.setReachable(true);
    await clock.advance(60_000);
    const told = events.flatMap((event) => (event.type === 'config' ? event.text : []));
    expect(told).toEqual(['1', '2', '3']);
  });
});

/** A proxy whose side of the watch stays open, whatever happens behind it. */
function behindProxy(own: Kv, isHeld: () => boolean): Kv {
  return {
    ...own,
    async *watch(ranges, from, signal) {
      try {
        for await (const batch of own.watch(ranges, from, signal)) if (!isHeld()) yield batch;
      } catch {
        // The proxy keeps the watch open.
      }
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    },
  };
}

it('the lease watch notices that the store behind a proxy is away, and goes on where it was', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  const other = memory.open();
  await other.create('/net/subnets/10.5.1.0-24', LEASE, await other.openSession(86_400));
  await followed(
    behindProxy(own, () => false),
    clock,
    async (events) => {
      own.setReachable(false);
      await clock.advance(25_000);
      expect(events.some(({ type }) => type === 'disconnected')).toBe(true);
      own.setReachable(true);
      await other.create('/net/subnets/10.5.2.0-24', LEASE, await other.openSession(86_400));
      await clock.advance(60_000);
      expect(events.at(-1)?.type).toBe('lease');
      expect(events.filter(({ type }) => type === 'snapshot')).toHaveLength(1);
    },
  );
});

it('the lease watch lists the store again if a proxy keeps silent about its changes', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const other = memory.open();
  await other.create('/net/subnets/10.5.1.0-24', LEASE, await other.openSession(86_400));
  let isSilent = false;
  await followed(
    behindProxy(memory.open(), () => isSilent),
    clock,
    async (events) => {
      isSilent = true;
      memory.wipe();
      for (const n of [1, 2, 3, 4, 5])
        await other.create(`/net/subnets/10.5.${n}.0-24`, LEASE, await other.openSession(86_400));
      await clock.advance(30_000);
      const last = events.findLast((event) => event.type === 'snapshot');
      expect(last?.leases).toHaveLength(5);
    },
  );
});

it('the lease watch of a quiet store asks three times a minute, and less often with many leases', async () => {
  for (const [leases, expected] of [
    [1, 30],
    [3_000, 20],
  ] as const) {
    const clock = createVirtualClock();
    const memory = createMemoryStore(clock);
    const other = memory.open();
    const session = await other.openSession(86_400);
    for (let i = 0; i < leases; i += 1)
      await other.create(`/net/subnets/10.${i >> 8}.${i & 255}.0-24`, LEASE, session);
    let lists = 0;
    const own = memory.open();
    const kv: Kv = {
      ...own,
      list: (...args) => {
        lists += 1;
        return own.list(...args);
      },
    };
    await followed(kv, clock, async (events) => {
      lists = 0;
      await clock.advance(600_000);
      expect(Math.abs(lists - expected)).toBeLessThanOrEqual(1);
      expect(events).toHaveLength(1);
    });
  }
});

it('the lease watch goes on without a word of a lost connection after a reconnect of our own', async () => {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const own = memory.open();
  const watches: AbortController[] = [];
  const kv: Kv = {
    ...own,
    async *watch(prefix, from, signal) {
      const given = new AbortController();
      watches.push(given);
      yield* own.watch(prefix, from, AbortSignal.any([signal, given.signal]));
      if (given.signal.aborted) throw new Reconnecting('the connection was given up');
    },
  };
  const seen: StoreEvent[] = [];
  const end = new AbortController();
  const follow = async (): Promise<void> => {
    for await (const event of watchLeases(kv, createLeaseKeys('/net'), clock, () => 0.5, end.signal))
      seen.push(event);
  };
  const followed = follow();
  await clock.advance(1_000);
  watches[0]?.abort();
  await clock.advance(0);
  const other = memory.open();
  await other.create('/net/config', '{}', undefined);
  await clock.advance(1_000);
  end.abort();
  await followed;
  expect(watches).toHaveLength(2);
  expect(seen.map(({ type }) => type)).not.toContain('disconnected');
  expect(seen.at(-1)).toEqual({ type: 'config', text: '{}' });
});

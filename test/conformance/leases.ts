// Leases, stores and events for tests of the lease store.
import { onTestFinished } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { createLogger } from '../../agent/base/log.ts';
import { systemRandom } from '../../agent/base/random.ts';
import { createKvLeaseStore, type KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import type { Prefix } from '../../agent/model/ip.ts';
import type { Kv } from '../../agent/model/kv.ts';
import type { LeaseAttrs } from '../../agent/model/lease.ts';
import type { LeaseSource, StoreEvent } from '../../agent/model/lease-source.ts';
import { waitFor } from '../lab/wait.ts';
import { leaseAttrs } from '../support/build.ts';

/** Attributes of the `n`-th node. */
export function attrsOf(n: number, more: Partial<LeaseAttrs> = {}): LeaseAttrs {
  const backend = { backendType: 'vxlan', data: { VNI: 1, VtepMAC: '02:00:00:00:00:01' } };
  const node = { id: n.toString(16).padStart(16, '0'), mac: undefined, name: `node-${n}` };
  return { ...leaseAttrs(`192.168.${n >> 8}.${n & 255}`, { ...backend, node }), ...more };
}

/** The `n`-th /24 of 10.0.0.0/8. */
export function subnetOf(n: number): Prefix {
  return { family: 'ipv4', address: `10.${n >> 8}.${n & 255}.0`, length: 24 };
}

/** A lease store over `kv` under a prefix. */
export function leaseStoreOver(kv: Kv, prefix: string): KvLeaseStore {
  return createKvLeaseStore(kv, {
    prefix,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('test', { level: 'error', format: 'text' }),
    configHint: 'twill network set …',
  });
}

/** Reads a store's events in the background until the test ends. */
export function follow(store: LeaseSource): StoreEvent[] {
  const events: StoreEvent[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const event of store.watch(stop.signal)) events.push(event);
  })();
  onTestFinished(async () => {
    stop.abort();
    await reading;
  });
  return events;
}

/** Waits for the first event of a type after the first `from` ones. */
export function next<T extends StoreEvent['type']>(
  events: readonly StoreEvent[],
  type: T,
  from = 0,
): Promise<Extract<StoreEvent, { type: T }>> {
  return waitFor(`an event ${type}`, 10_000, () =>
    events.slice(from).find((event): event is Extract<StoreEvent, { type: T }> => event.type === type),
  );
}

/** Counts the requests that go to a store. */
export function counted(kv: Kv): { readonly kv: Kv; readonly counts: Record<string, number> } {
  const counts: Record<string, number> = {};
  const count = (name: string): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const wrapped = new Proxy(kv, {
    get(target, name: keyof Kv) {
      const method = target[name] as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        count(String(name));
        return method.apply(target, args);
      };
    },
  });
  return { kv: wrapped, counts };
}

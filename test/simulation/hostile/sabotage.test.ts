// The laws beside a hostile writer can fail: in each of these clusters one part works wrongly, and the laws find it.
import { expect, it } from 'vitest';
import type { KvLeaseStore } from '../../../agent/datastore/kv-lease-store.ts';
import type { HostObject } from '../../../agent/model/host-state.ts';
import type { Change, Kernel } from '../../../agent/model/kernel.ts';
import type { Kv, KvEntry } from '../../../agent/model/kv.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import type { Sabotage } from '../cluster.ts';
import { simulate } from '../simulate.ts';

const MOST_SEEDS = 150;

/** A node that takes each event for others. */
function hearing(change: (event: StoreEvent) => readonly StoreEvent[]): NonNullable<Sabotage['leases']> {
  return (store: KvLeaseStore) => ({
    ...store,
    async *watch(signal) {
      for await (const event of store.watch(signal)) yield* change(event);
    },
  });
}

/** A node that asks its kernel for these objects too. */
function wanting(...objects: readonly HostObject[]): NonNullable<Sabotage['kernel']> {
  return (kernel: Kernel) => ({
    ...kernel,
    apply: (changes, signal) =>
      kernel.apply([...changes, ...objects.map((object) => ({ op: 'add', object }) as const)], signal),
  });
}

/** A node that makes a request about each entry that it hears of. */
function meddling(meddle: (kv: Kv, entry: KvEntry) => Promise<unknown>): NonNullable<Sabotage['requests']> {
  return (kv: Kv) => ({
    ...kv,
    async *watch(...args) {
      for await (const batch of kv.watch(...args)) {
        for (const event of batch)
          if (event.type === 'put') void meddle(kv, event.entry).catch(() => undefined);
        yield batch;
      }
    },
  });
}

const innerRoute: HostObject = {
  kind: 'route',
  type: 'unicast',
  dst: '10.5.9.128/25',
  via: '192.168.77.99',
  dev: 'eth0',
  onlink: true,
};

function manyRoutes(): readonly Change[] {
  return Array.from({ length: 300 }, (_, n) => {
    const dst = `10.5.${n >> 8}.${n & 255}/32`;
    return {
      op: 'add',
      object: { kind: 'route', type: 'blackhole', dst, via: undefined, dev: undefined, onlink: false },
    };
  });
}

const SABOTAGES: readonly (readonly [string, Sabotage, RegExp])[] = [
  [
    'a node that forgets a lease when somebody writes junk over it',
    {
      leases: hearing((event) =>
        event.type === 'malformed' && event.entry.key !== undefined
          ? [event, { type: 'lease-removed', key: event.entry.key, revision: Number.MAX_SAFE_INTEGER }]
          : [event],
      ),
      judges: /stays reached/,
    },
    /who is reached stays reached/,
  ],
  [
    'a node that takes an overwritten lease for a deleted one',
    {
      leases: hearing((event) =>
        event.type === 'lease' && event.lease.attrs.backendType === 'wireguard'
          ? [{ type: 'lease-removed', key: event.lease.key, revision: Number.MAX_SAFE_INTEGER }, event]
          : [event],
      ),
      judges: /who is here/,
    },
    /who is here is reached/,
  ],
  [
    'a node that takes the youngest lease for the oldest one',
    {
      leases: hearing((event) => {
        const turned = (lease: Lease): Lease => ({ ...lease, created: -lease.created });
        if (event.type === 'lease') return [{ ...event, lease: turned(event.lease) }];
        return event.type === 'snapshot' ? [{ ...event, leases: event.leases.map(turned) }] : [event];
      }),
    },
    /who is (here|reached)/,
  ],
  [
    'a node that overlooks leases',
    {
      leases: hearing((event) => {
        if (event.type === 'snapshot') return [{ ...event, leases: [] }];
        return event.type === 'lease' ? [] : [event];
      }),
      judges: /who is here/,
    },
    /who is here is reached/,
  ],
  [
    "a node that takes a question for another node's lease",
    {
      leases: hearing((event) => {
        if (event.type !== 'lease' || event.lease.asked === undefined) return [event];
        const attrs = { ...event.lease.attrs, publicIP: { ipv4: '192.168.77.250' }, node: undefined };
        return [{ type: 'lease', lease: { ...event.lease, attrs, session: undefined } }];
      }),
      judges: /keeps the subnet/,
    },
    /a node keeps the subnet that is its own/,
  ],
  [
    'a node with a route to a part of a subnet',
    { kernel: wanting(innerRoute), judges: /no way leads/ },
    /no way leads where no node may be/,
  ],
  [
    'a node that makes routes without neighbours',
    {
      kernel: (kernel) => ({
        ...kernel,
        apply: (changes, signal) =>
          kernel.apply(
            changes.filter(({ object }) => object.kind !== 'neigh'),
            signal,
          ),
      }),
      judges: /is half/,
    },
    /no way is half/,
  ],
  [
    'a node that says everything again at each event',
    {
      leases: hearing((event) => [event, { type: 'config', text: '{}' }, { type: 'config', text: '[]' }]),
      judges: /a log/,
    },
    /a log stays small/,
  ],
  [
    'a node that forgets no lease',
    { leases: hearing((event) => (event.type === 'lease-removed' ? [] : [event])), judges: /is forgotten/ },
    /what has gone is forgotten/,
  ],
  [
    'a node that makes more objects than leases need',
    {
      kernel: (kernel) => {
        let isFirst = true;
        return {
          ...kernel,
          async apply(changes, signal) {
            if (isFirst) await kernel.apply(manyRoutes(), signal);
            isFirst = false;
            return kernel.apply(changes, signal);
          },
        };
      },
      judges: /a kernel holds/,
    },
    /a kernel holds what leases name/,
  ],
  [
    'a node that ends the session of each lease',
    {
      requests: meddling(async (kv, { session }) =>
        session === undefined ? undefined : kv.closeSession(session),
      ),
      judges: /the session/,
    },
    /nobody ends the session of others/,
  ],
  [
    'a node that deletes each entry',
    { requests: meddling((kv, entry) => kv.delete(entry)), judges: /nobody deletes/ },
    /nobody deletes what is not its own/,
  ],
  [
    'a node that writes elsewhere',
    {
      requests: meddling((kv, { key }) => kv.create(`/other${key}`, '', undefined)),
      judges: /nothing but leases/,
    },
    /nothing but leases is written/,
  ],
];

it.each(SABOTAGES)('%s is found out beside a hostile writer', async (_, sabotage, law) => {
  for (let seed = 1; seed <= MOST_SEEDS; seed++) {
    const { violation } = await simulate(seed, { sabotage, scene: 'hostile' });
    if (violation === undefined) continue;
    expect(violation.law).toMatch(law);
    return;
  }
  expect.fail(`none of ${MOST_SEEDS} seeds found it`);
});

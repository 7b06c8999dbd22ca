// The simulation can fail: in each of these clusters one part works wrongly, and the laws find it.
import { expect, it } from 'vitest';
import type { Kv, KvEntry } from '../../agent/model/kv.ts';
import type { StoreEvent } from '../../agent/model/lease-source.ts';
import type { Sabotage } from './cluster.ts';
import { simulate } from './simulate.ts';

/** Claims meet in one seed of fifty; the first such seed comes soon after this one. */
const FIRST_SEED = 110;
const MOST_SEEDS = 400;

const isLoss = (event: StoreEvent): boolean =>
  event.type === 'lease-removed' || event.type === 'snapshot' || event.type === 'malformed';

/** The store as a node sees it that takes each entry for another one. `wrote` is told of the values of its own. */
function seeing(kv: Kv, see: (entry: KvEntry) => KvEntry, wrote: (value: string) => void): Kv {
  return {
    ...kv,
    create(key, value, session) {
      wrote(value);
      return kv.create(key, value, session);
    },
    update(entry, value) {
      wrote(value);
      return kv.update(entry, value);
    },
    async get(key) {
      const entry = await kv.get(key);
      return entry && see(entry);
    },
    async list(prefix) {
      const listing = await kv.list(prefix);
      return { ...listing, entries: listing.entries.map(see) };
    },
    async *watch(...args) {
      for await (const batch of kv.watch(...args))
        yield batch.map((event) => (event.type === 'put' ? { ...event, entry: see(event.entry) } : event));
    },
  };
}

/** After its first claim, each lease looks to a node as if it were at the node's own address. */
function nearsighted(kv: Kv): Kv {
  const address = /"PublicIP":"[^"]*"/;
  let own: string | undefined;
  const see = (entry: KvEntry): KvEntry =>
    own === undefined ? entry : { ...entry, value: (entry.value ?? '').replace(address, own) };
  return seeing(kv, see, (value) => {
    own ??= address.exec(value)?.[0];
  });
}

/** Claims succeed over leases, and leases that a node has not written look like garbage, which it writes over. */
function overbearing(kv: Kv): Kv {
  const own = new Set<string>();
  const see = (entry: KvEntry): KvEntry =>
    entry.key.includes('/subnets/') && !own.has(entry.value ?? '') ? { ...entry, value: '{' } : entry;
  return {
    ...seeing(kv, see, (value) => own.add(value)),
    async create(key, value, session) {
      own.add(value);
      const before = await kv.get(key);
      return before === undefined ? kv.create(key, value, session) : kv.update({ ...before, session }, value);
    },
  };
}

const NO_LOSS = /ready means a lease|a fair world becomes right|no route/;

const SABOTAGES: readonly (readonly [string, Sabotage, RegExp])[] = [
  [
    'a store that lets a second claim through',
    {
      kv: (kv) => ({
        ...kv,
        async create(key, value, session) {
          const before = await kv.get(key);
          if (before !== undefined) await kv.delete(before);
          return kv.create(key, value, session);
        },
      }),
    },
    /a subnet is claimed where nobody has it/,
  ],
  [
    'a node that hears of no loss',
    {
      leases: (store) => ({
        ...store,
        async *watch(signal) {
          let hasSnapshot = false;
          for await (const event of store.watch(signal)) {
            if (!hasSnapshot || !isLoss(event)) yield event;
            hasSnapshot ||= event.type === 'snapshot';
          }
        },
      }),
      // Such a node may lose the lease of another one, too.
      judges: NO_LOSS,
    },
    NO_LOSS,
  ],
  [
    'a store that grants another subnet than it wrote',
    {
      leases: (store) => ({
        ...store,
        async claim(subnets, attrs, signal) {
          const held = await store.claim(subnets, attrs, signal);
          const wrong = { ipv4: { family: 'ipv4', address: '10.5.0.0', length: 24 } } as const;
          return held && { ...held, lease: { ...held.lease, subnets: wrong } };
        },
      }),
    },
    /subnet\.env is what the node holds/,
  ],
  [
    'a node that answers no question about its lease',
    { leases: (store) => ({ ...store, repair: async (held) => held }), judges: /who can answer/ },
    /who can answer keeps its lease/,
  ],
  [
    'a node that takes over without asking',
    { leases: (store) => ({ ...store, challenge: async (lease) => ({ kind: 'silent', lease }) }) },
    /a lease is taken over only after asking/,
  ],
  [
    'a node that takes over a lease in spite of an answer',
    {
      leases: (store) => ({
        ...store,
        async challenge(lease, ...rest) {
          const answer = await store.challenge(lease, ...rest);
          for await (const event of store.watch(new AbortController().signal)) {
            if (event.type !== 'snapshot') continue;
            const now = event.leases.find(({ key }) => key === lease.key);
            return now === undefined ? answer : { kind: 'silent', lease: now };
          }
          return answer;
        },
      }),
      judges: /who can answer/,
    },
    /who can answer keeps its lease/,
  ],
  [
    'a node that waits for an answer for a moment',
    {
      leases: (store) => ({
        ...store,
        challenge: (lease, by, _, signal) => store.challenge(lease, by, 1_000, signal),
      }),
    },
    /who is asked has time to answer/,
  ],
  [
    'a node that takes leases at other addresses for leases at its own',
    { kv: nearsighted, judges: /asks about/ },
    /nobody asks about a lease without need/,
  ],
  [
    'a node that takes each check of its lease for a loss',
    { leases: (store) => ({ ...store, renew: async () => undefined, repair: async () => undefined }) },
    /nobody gives up a subnet that it holds/,
  ],
  [
    'a node that writes over leases of others',
    { kv: overbearing, judges: /two nodes/ },
    /two nodes never use one subnet/,
  ],
  [
    'nodes that write over the leases of each other in turns',
    { kv: overbearing, judges: /a fight/ },
    /a fight over a key ends/,
  ],
  [
    'a kernel that takes changes for some time only',
    {
      kernel(kernel) {
        let passes = 0;
        return { ...kernel, apply: async (...args) => (passes++ < 3 ? kernel.apply(...args) : []) };
      },
    },
    /a fair world becomes right/,
  ],
  [
    'a kernel that deletes nothing',
    {
      kernel: (kernel) => ({
        ...kernel,
        apply: (changes, signal) =>
          kernel.apply(
            changes.filter(({ op }) => op !== 'delete'),
            signal,
          ),
      }),
    },
    /a fair world becomes right/,
  ],
  [
    'a node that asks its kernel for a default route',
    {
      kernel: (kernel) => ({
        ...kernel,
        apply: (changes, signal) => {
          const route = {
            kind: 'route',
            type: 'unicast',
            via: '192.168.77.1',
            dev: 'eth0',
            onlink: false,
          } as const;
          return kernel.apply([...changes, { op: 'add', object: { ...route, dst: '0.0.0.0/0' } }], signal);
        },
      }),
    },
    /what is not ours stays|no route to what nobody has/,
  ],
];

it.each(SABOTAGES)('%s is found out', async (_, sabotage, law) => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + MOST_SEEDS; seed++) {
    const { violation } = await simulate(seed, { sabotage });
    if (violation === undefined) continue;
    expect(violation.law).toMatch(law);
    return;
  }
  expect.fail(`none of ${MOST_SEEDS} seeds found it`);
});

// The simulation can fail: in each of these clusters one part works wrongly, and the laws find it.
import { expect, it } from 'vitest';
import { formatLeaseValue, parseLeaseValue } from '../../agent/model/lease.ts';
import type { StoreEvent } from '../../agent/model/lease-source.ts';
import type { Sabotage } from './cluster.ts';
import { simulate } from './simulate.ts';

/** Claims meet in one seed of fifty; the first such seed comes soon after this one. */
const FIRST_SEED = 110;
const MOST_SEEDS = 400;

const isLoss = (event: StoreEvent): boolean =>
  event.type === 'lease-removed' || event.type === 'snapshot' || event.type === 'malformed';

/** Whether a node writes its lease as it was, without the question that was in it. */
function isAnswer(before: string, after: string): boolean {
  return before.includes('"Asked"') && formatLeaseValue(parseLeaseValue(before, 'lease').attrs) === after;
}

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
    },
    /ready means a lease|a fair world becomes right|no route/,
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
    {
      kv: (kv) => ({
        ...kv,
        async update(entry, value) {
          const before = await kv.get(entry.key);
          return before !== undefined && isAnswer(before.value, value) ? before : kv.update(entry, value);
        },
      }),
    },
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
    },
    /who can answer keeps its lease/,
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

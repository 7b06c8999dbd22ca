// The numbers of a node's own lease: renewals by result, its expiry, and the subnets that are free.
import { describe, expect, it } from 'vitest';
import { LeaseNumbers } from '../../../agent/lease/lease-numbers.ts';
import type { HeldLease, LeaseStore } from '../../../agent/model/lease-store.ts';
import type { FamilyName } from '../../../agent/model/metric-families.ts';
import { parseNetworkConfig } from '../../../agent/model/network-config.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { lease, leaseAttrs } from '../../support/build.ts';
import { valueOf } from '../../support/metric-value.ts';

const FIELDS = { Network: '10.5.0.0/16', SubnetMin: '10.5.10.0', SubnetMax: '10.5.13.0' };
const OURS = lease('10.5.10.0/24', leaseAttrs('192.168.77.1'));
const HELD: HeldLease = { lease: OURS, ttlSeconds: 86_400 };
const EXPIRY = 'twill_lease_expiry_timestamp_seconds';

type Renewal = () => Promise<HeldLease | undefined>;

function bed() {
  const clock = createVirtualClock();
  const numbers = new LeaseNumbers(clock);
  const never = async (): Promise<never> => {
    throw new Error('not asked for');
  };
  let renewal: Renewal = async () => HELD;
  const inner: LeaseStore = {
    claim: async () => HELD,
    adopt: never,
    repair: never,
    release: never,
    challenge: never,
    renew: () => renewal(),
  };
  const store = numbers.watch(inner);
  const config = parseNetworkConfig(JSON.stringify(FIELDS), 'config');
  const outside = lease('10.5.77.0/24', leaseAttrs('192.168.77.2'));
  const known = { leases: [OURS, outside], config: undefined };
  const read = (family: FamilyName, held: HeldLease | undefined = HELD, result?: string) =>
    valueOf(numbers.metrics(held, { config, known }), family, result === undefined ? {} : { result });
  const renew = async (answer: Renewal, signal?: AbortSignal): Promise<unknown> => {
    renewal = answer;
    return store.renew(HELD, signal).catch((error: unknown) => error);
  };
  return { clock, store, read, renew };
}

describe('the numbers of a lease', () => {
  it('the expiry counts from the last answer of the store that granted or renewed it', async () => {
    const { clock, store, read, renew } = bed();
    await store.claim(OURS.subnets, OURS.attrs);
    const first = read(EXPIRY) ?? 0;
    expect(first).toBe(Math.round(clock.wallMs() / 1_000) + 86_400);
    await clock.advance(3_600_000);
    expect(read(EXPIRY)).toBe(first);
    await renew(async () => undefined);
    expect(read(EXPIRY)).toBe(first);
    await renew(async () => HELD);
    expect(read(EXPIRY)).toBe(first + 3_600);
  });

  it('a reservation has no expiry', () => {
    const { read } = bed();
    expect(read(EXPIRY, { lease: OURS, ttlSeconds: undefined })).toBeUndefined();
  });

  it('renewals count by their result, and one that ends with the agent counts as none', async () => {
    const { read, renew } = bed();
    const stopped = new AbortController();
    stopped.abort();
    const fails: Renewal = async () => {
      throw new Error('no answer');
    };
    await renew(async () => HELD);
    await renew(async () => undefined);
    await renew(fails);
    await renew(fails, stopped.signal);
    const counts = ['ok', 'lost', 'failed'].map((result) => read('twill_lease_renewals_total', HELD, result));
    expect(counts).toEqual([1, 1, 1]);
  });

  it('subnets are free that fit the network and are in no lease', () => {
    expect(bed().read('twill_subnets_free')).toBe(3);
  });
});

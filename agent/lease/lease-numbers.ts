// The numbers of this node's own lease in a key-value store.
import type { Clock } from '../base/clock.ts';
import type { HolderInput } from '../model/lease-holder.ts';
import type { HeldLease, LeaseStore } from '../model/lease-store.ts';
import { type Metric, single, Tally } from '../model/metrics.ts';
import { subnetCount } from '../model/network-config.ts';
import { fits } from './allocator.ts';

export class LeaseNumbers {
  readonly #clock: Clock;
  readonly #renewals = new Tally('result');
  /** When the store granted or renewed our lease last, on the boot clock. */
  #keptMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The same store. The outcome of each request for our lease is counted. */
  watch(store: LeaseStore): LeaseStore {
    const kept = async <L extends HeldLease | undefined>(work: Promise<L>): Promise<L> => {
      const askedMs = this.#clock.bootMs();
      const held = await work;
      if (held !== undefined) this.#keptMs = askedMs;
      return held;
    };
    return {
      claim: (...args) => kept(store.claim(...args)),
      adopt: (...args) => kept(store.adopt(...args)),
      repair: (...args) => kept(store.repair(...args)),
      release: (...args) => store.release(...args),
      challenge: (...args) => store.challenge(...args),
      renew: async (held, signal) => {
        try {
          const renewed = await kept(store.renew(held, signal));
          this.#renewals.add(renewed === undefined ? 'lost' : 'ok');
          return renewed;
        } catch (error) {
          if (signal?.aborted !== true) this.#renewals.add('failed');
          throw error;
        }
      },
    };
  }

  /** `held`: our lease; undefined: there is none now. */
  metrics(
    held: HeldLease | undefined,
    { config, known }: Pick<HolderInput, 'config' | 'known'>,
  ): readonly Metric[] {
    const taken = known.leases.filter(({ subnets: { ipv4 } }) => ipv4 !== undefined && fits(ipv4, config));
    return [
      ...this.#expiry(held?.ttlSeconds),
      this.#renewals.metric('twill_lease_renewals_total'),
      single('twill_subnets_free', Math.max(0, subnetCount(config) - taken.length)),
    ];
  }

  #expiry(ttlSeconds: number | undefined): readonly Metric[] {
    if (ttlSeconds === undefined) return [];
    const keptAtMs = this.#clock.wallMs() - (this.#clock.bootMs() - this.#keptMs);
    return [single('twill_lease_expiry_timestamp_seconds', Math.round(keptAtMs / 1_000 + ttlSeconds))];
  }
}

// Gets this node a subnet and keeps it: claims, renews, and claims again when it was lost.
//
//     none ──acquire──▶ held ──renewed in time──▶ held
//       ▲                 │
//       └── key deleted, session expired, taken by another ──┘   (the same subnet again when it is free)
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { LIMITS } from '../limits.ts';
import { formatPrefix, type Prefix } from '../model/ip.ts';
import type { Lease, LeaseAttrs, NodeIdentity } from '../model/lease.ts';
import type { HeldLease, LeaseStore } from '../model/lease-store.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import { chooseSubnet, describeTaken, mayKeep, ownership } from './allocator.ts';

export interface LeaseKeeperDeps {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly config: NetworkConfig;
  /** What this node announces; its identity is part of it. */
  readonly attrs: LeaseAttrs & { readonly node: NodeIdentity };
  /** The leases as known at this moment. */
  readonly leases: () => readonly Lease[];
  /** A lease is renewed when this much of it is left. */
  readonly renewMarginMinutes: number;
}

export interface LeaseKeeper {
  readonly held: HeldLease | undefined;
  /**
   * Takes a lease: the one that is ours already, else the previous subnet, else any.
   *
   * Fails as `exhausted`, as `conflict` when a live node with another identity has our public address, and as
   * `datastore`.
   */
  acquire(previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease>;
  /** The store says that a lease is no longer as it was; `revision` is that of the change. */
  noticeLoss(subnet: Prefix, revision: number): void;
  /** Keeps the lease until `signal` is aborted. `onChange` is told of every lease taken after a loss. */
  run(onChange: (held: HeldLease) => void, signal: AbortSignal): Promise<void>;
}

export function createLeaseKeeper(deps: LeaseKeeperDeps): LeaseKeeper {
  const { store, clock, random, log, config, attrs } = deps;
  const bell = createBell(clock);
  let held: HeldLease | undefined;
  /** The subnet that was held last. */
  let last: Prefix | undefined;

  const acquire = async (previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease> => {
    const own = await findOwn(signal);
    if (own !== undefined) {
      held = await store.adopt(own, attrs, signal);
      if (held !== undefined) return announce('kept', held);
    }
    const wish = own?.subnet ?? previous;
    // What we know may be older than the store: a lease of ours that just ended may be had again.
    const others = (): Lease[] => deps.leases().filter(({ revision }) => revision !== own?.revision);
    const lost: Prefix[] = [];
    for (let attempt = 0; attempt < LIMITS.claimAttempts; attempt++) {
      const taken = [...others().map(({ subnet }) => subnet), ...lost];
      const subnet = chooseSubnet(config, taken, wish, random);
      if (subnet === undefined) {
        throw new TwillError('exhausted', describeTaken(config, deps.leases()), {
          hint: 'enlarge Network or SubnetMax, or delete leases of nodes that are gone',
        });
      }
      held = await store.claim(subnet, attrs, signal);
      if (held !== undefined) return announce('took', held);
      // Somebody was faster: that one is taken, the next is tried at once.
      log.debug('lost the race for a subnet', { subnet: formatPrefix(subnet) });
      lost.push(subnet);
    }
    throw new TwillError('datastore', `lost the race for a subnet ${LIMITS.claimAttempts} times in a row`);
  };

  const findOwn = async (signal: AbortSignal): Promise<Lease | undefined> => {
    const candidates = deps
      .leases()
      .map((lease) => ({ lease, kind: ownership(lease, attrs.publicIP, attrs.node) }))
      // With one that is surely ours, nobody has to be asked about another.
      .sort((a, b) => Number(a.kind === 'doubtful') - Number(b.kind === 'doubtful'));
    for (const { lease, kind } of candidates) {
      if (kind === undefined) continue;
      if (!mayKeep(lease, config)) {
        log.warn('our lease does not fit the network configuration any more', {
          subnet: formatPrefix(lease.subnet),
        });
        if (kind === 'ours') await store.release({ lease, ttlSeconds: undefined }, signal);
        continue;
      }
      if (kind === 'doubtful') await assertSilent(lease, signal);
      return lease;
    }
    return undefined;
  };

  // The same machine installed anew has another identity, but then nobody answers for the old one.
  const assertSilent = async (lease: Lease, signal: AbortSignal): Promise<void> => {
    const holder = lease.attrs.node?.name ?? 'unknown';
    const subnet = formatPrefix(lease.subnet);
    log.info('another node name stands in the lease of our address: asking whether it is alive', {
      subnet,
      holder,
    });
    if (!(await store.challenge(lease, attrs.node, LIMITS.challengeWaitMs, signal))) {
      log.info('nobody answered: the lease is ours', { subnet, holder });
      return;
    }
    throw new TwillError(
      'conflict',
      `node ${holder} is alive and has our public address ${attrs.publicIP} (we are ${attrs.node.name}, its subnet is ${subnet})`,
      { hint: 'give each host its own address: choose another interface with --iface, or set --public-ip' },
    );
  };

  const announce = (how: string, lease: HeldLease): HeldLease => {
    last = lease.lease.subnet;
    log.info(`${how} ${formatPrefix(lease.lease.subnet)}`, {
      public_ip: attrs.publicIP,
      ttl: lease.ttlSeconds ?? 'reserved',
      others: deps.leases().filter(({ subnet }) => subnet.address !== lease.lease.subnet.address).length,
    });
    return lease;
  };

  const acquireAgain = async (lost: Prefix, signal: AbortSignal): Promise<HeldLease> => {
    for (let failures = 1; ; failures++) {
      try {
        return await acquire(lost, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.error(`cannot take a lease again: ${asTwillError(error, 'datastore', 'datastore').message}`);
        await clock.sleep(backoffMs(LIMITS.datastoreBackoff, failures, random), signal);
      }
    }
  };

  // Renews until it succeeds or the store says that the lease has ended.
  const renew = async (current: HeldLease, signal: AbortSignal): Promise<HeldLease | undefined> => {
    for (let failures = 1; ; failures++) {
      try {
        return await store.renew(current, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warn(`cannot renew the lease yet: ${asTwillError(error, 'datastore', 'datastore').message}`);
        await clock.sleep(backoffMs(LIMITS.datastoreBackoff, failures, random), signal);
      }
      if (held !== current) return undefined;
    }
  };

  return {
    get held() {
      return held;
    },
    acquire,
    noticeLoss(subnet, revision) {
      if (held === undefined || formatPrefix(held.lease.subnet) !== formatPrefix(subnet)) return;
      if (revision <= held.lease.revision) return;
      log.warn('our lease was taken from us', { subnet: formatPrefix(subnet) });
      held = undefined;
      bell.ring();
    },
    async run(onChange, signal) {
      if (last === undefined) throw new Error('run before acquire');
      for (;;) {
        const current = held;
        // It may have been lost at any moment, also before we came here.
        if (current !== undefined) {
          await bell.wait(signal, renewAfterMs(current, deps.renewMarginMinutes));
          const renewed = held === current ? await renew(current, signal) : undefined;
          if (held === current) held = renewed;
          if (held !== undefined) {
            log.debug('renewed', { subnet: formatPrefix(last), ttl: held.ttlSeconds });
            continue;
          }
        }
        log.warn('the lease has ended: taking one again', { subnet: formatPrefix(last) });
        onChange(await acquireAgain(last, signal));
      }
    },
  };
}

// A reservation does not expire; it is looked at from time to time all the same, and so is a lease that somebody
// gave a longer time than ours have.
function renewAfterMs({ ttlSeconds }: HeldLease, marginMinutes: number): number {
  const ttlMs = Math.min(ttlSeconds ?? LIMITS.leaseTtlSeconds, LIMITS.leaseTtlSeconds) * 1000;
  return Math.max(ttlMs - marginMinutes * 60_000, ttlMs / 10);
}

// Gets this node a subnet and keeps it: claims, renews, and claims again when it was lost.
//
//     none ──acquire──▶ held ──renewed in time, or written over and repaired──▶ held
//       ▲                 │
//       └── key deleted, session expired, taken by another ──┘   (the same subnet again when it is free)
//
// A subnet whose lease is gone stays in use until another node has it: a store that lost its data cuts nobody off.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { backoffMs, retry } from '../base/retry.ts';
import { formatPrefix, type PerFamily, type Prefix } from '../model/ip.ts';
import { formatSubnetKey, formatSubnets, type Lease } from '../model/lease.ts';
import type { HeldLease, StoreEvent } from '../model/lease-store.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { chooseSubnet, exhausted, ownership } from './allocator.ts';
import { type FindOwnDeps, findOwn, type OwnAttrs } from './find-own.ts';
import { newsOf } from './lease-table.ts';
import { LIMITS } from './limits.ts';
import { renewAfterMs } from './renewal.ts';

export interface LeaseKeeperDeps extends FindOwnDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Whether the store has a network configuration at this moment: without one nothing is claimed. */
  readonly hasConfig: () => boolean;
  /** A lease is renewed when this much of it is left. */
  readonly renewMarginMinutes: number;
}

export interface LeaseKeeper {
  readonly held: HeldLease | undefined;
  /** The subnets that this node may use: those it holds, or held last and no other node is known to have. The same object
   * for as long as they are the same. */
  readonly subnets: PerFamily<Prefix> | undefined;
  /** Why no lease is surely held, one line; undefined: one is. */
  trouble(): string | undefined;
  /**
   * Takes a lease: the one that is ours already, else the previous subnet, else any.
   *
   * Fails as `exhausted`, as `conflict` when a live node with another identity has our public address, and as
   * `datastore`.
   */
  acquire(previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease>;
  /** What this node announces from now on; `run` writes it into the lease, under the same session. */
  announce(attrs: OwnAttrs): void;
  /** Nobody knows whether the lease still is ours: `run` asks at once, and until then there is trouble. */
  doubt(): void;
  /** Takes notice of what happened in the store; `leases` and `hasConfig` know it already. */
  notice(event: StoreEvent): void;
  /** Keeps the lease until `signal` is aborted. `onChange` is told of every lease taken after a loss. */
  run(onChange: (held: HeldLease) => void, signal: AbortSignal): Promise<void>;
}

export function createLeaseKeeper(deps: LeaseKeeperDeps): LeaseKeeper {
  const { store, clock, random, log, config } = deps;
  const bell = createBell(clock);
  let held: HeldLease | undefined;
  /** The lease that was held last, and whether another node has its subnet now. */
  let last: HeldLease | undefined;
  let isTaken = false;
  /** The subnet that is being taken, and what the store said of it last: news may overtake the answer. */
  let taking: { readonly key: string; news: StoreEvent | undefined } | undefined;
  /** Whether our key says something else than we wrote. */
  let isOverwritten = false;
  let attrs = deps.attrs;
  /** What we wrote last. */
  let written = attrs;
  let isDoubtful = false;
  let usable: Lease | undefined;

  const acquire = async (previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease> => {
    written = attrs;
    const own = await findOwn({ ...deps, attrs: written }, signal);
    if (own !== undefined) {
      const kept = await take('kept', own.key, () => store.adopt(own, written, signal));
      if (kept !== undefined) return kept;
    }
    // What we know may be older than the store: a lease of ours that just ended may be had again.
    const others = (): Lease[] =>
      deps.leases().filter((lease) => lease.revision !== own?.revision && !isFromUs(lease));
    const lost: Prefix[] = [];
    for (let attempt = 0; attempt < LIMITS.claimAttempts; attempt++) {
      const taken = [...others().flatMap(({ subnets }) => subnets[4] ?? []), ...lost];
      const subnet = chooseSubnet(config, taken, own?.subnets[4] ?? previous, random);
      if (subnet === undefined) throw exhausted(config, deps.leases());
      const subnets = { 4: subnet };
      const key = formatSubnetKey(subnets);
      const took = await take('took', key, () => store.claim(subnets, written, signal));
      if (took !== undefined) return took;
      const before = last;
      if (before !== undefined && isOwn(key)) {
        // Ours all the same, where we have only heard late or wrongly that it was gone.
        const kept = await take('kept', key, () => store.repair(before, written, signal));
        if (kept !== undefined) return kept;
        noticeTaken(undefined);
      }
      // Somebody was faster: that one is taken, the next is tried at once.
      log.debug('lost the race for a subnet', { subnet: formatPrefix(subnet) });
      lost.push(subnet);
    }
    throw new TwillError('datastore', `lost the race for a subnet ${LIMITS.claimAttempts} times in a row`);
  };

  const take = async (how: string, key: string, ask: () => Promise<HeldLease | undefined>) => {
    const asked: typeof taking = { key, news: undefined };
    taking = asked;
    held = await ask();
    taking = undefined;
    if (held === undefined) return undefined;
    const lease = report(how, held);
    if (asked.news !== undefined) notice(asked.news);
    return lease;
  };

  const isOwn = (key: string | undefined): boolean => last !== undefined && key === last.lease.key;

  // Also where we wrote it at an earlier address.
  const isFromUs = ({ session, attrs: { node } }: Lease): boolean =>
    session !== undefined && session === last?.lease.session && node?.id === attrs.node.id;

  const report = (how: string, lease: HeldLease): HeldLease => {
    if (last !== undefined && !isOwn(lease.lease.key)) {
      log.error('this node has another subnet from now on: start its containers anew', {
        was: formatSubnets(last.lease.subnets),
        is: formatSubnets(lease.lease.subnets),
      });
    }
    last = lease;
    isTaken = false;
    isDoubtful = false;
    // Our address may have changed while we asked for the lease.
    isOverwritten = written !== attrs;
    if (isOverwritten) bell.ring();
    log.info(`${how} ${formatSubnets(lease.lease.subnets)}`, {
      public_ip: written.publicIP[4],
      ttl: lease.ttlSeconds ?? 'reserved',
      others: deps.leases().filter(({ key }) => key !== lease.lease.key).length,
    });
    return lease;
  };

  const noticeTaken = (by: Lease | undefined): void => {
    if (isTaken || last === undefined) return;
    isTaken = true;
    log.error('another node has our subnet now: it is not used any more', {
      subnet: formatSubnets(last.lease.subnets),
      holder: by?.attrs.publicIP[4],
      name: by?.attrs.node?.name,
    });
  };

  // `revision` is that of the change; what we wrote later counts more.
  const noticeLoss = (revision: number): void => {
    if (held === undefined || revision <= held.lease.revision) return;
    log.warn('our lease was taken from us', { subnet: formatSubnets(held.lease.subnets) });
    held = undefined;
    bell.ring();
  };

  const noticeOverwritten = (): void => {
    if (held === undefined) return;
    isOverwritten = true;
    isDoubtful = true;
    bell.ring();
  };

  const isOurs = (lease: Lease): boolean =>
    isFromUs(lease) || ownership(lease, attrs.publicIP, attrs.node) === 'ours';

  const noticeLease = (lease: Lease): void => {
    if (held !== undefined && lease.revision <= held.lease.revision) return;
    if (isOurs(lease)) return noticeOverwritten();
    noticeTaken(lease);
    noticeLoss(lease.revision);
  };

  const notice = (event: StoreEvent): void => {
    if (taking !== undefined) taking.news = newsOf(event, taking.key) ?? taking.news;
    // The network configuration may be back.
    if (last !== undefined && held === undefined && taking === undefined) bell.ring();
    switch (event.type) {
      case 'lease':
        if (isOwn(event.lease.key)) noticeLease(event.lease);
        break;
      case 'lease-removed':
        if (isOwn(event.key)) noticeLoss(event.revision);
        break;
      case 'malformed':
        if (isOwn(event.entry.key)) noticeOverwritten();
        break;
      case 'snapshot': {
        const lease = event.leases.find(({ key }) => isOwn(key));
        if (lease !== undefined && !isOurs(lease)) {
          noticeTaken(lease);
          noticeLoss(Number.POSITIVE_INFINITY);
        } else if (lease?.revision !== held?.lease.revision || lease?.session !== held?.lease.session) {
          // It was read before we wrote, or in a store that counts anew: our key itself has to be looked at.
          noticeOverwritten();
        }
        break;
      }
      default:
    }
  };

  const acquireAgain = async (lost: Lease, signal: AbortSignal): Promise<HeldLease> => {
    const subnet = formatSubnets(lost.subnets);
    if (!deps.hasConfig()) {
      log.warn(`${NO_CONFIG}; what stands stays`, { subnet });
      while (!deps.hasConfig()) await bell.wait(signal);
    }
    log.warn('the lease has ended: taking one again', { subnet });
    const attempt = (): Promise<HeldLease> => acquire(lost.subnets[4], signal);
    const onFailure = (error: unknown): void =>
      log.error(`cannot take a lease again: ${asTwillError(error, 'datastore', 'datastore').message}`);
    return retry({ clock, random, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
  };

  // Renews, or writes again, until it succeeds or the store says that the lease has ended.
  const keep = async (current: HeldLease, signal: AbortSignal): Promise<HeldLease | undefined> => {
    const subnet = formatSubnets(current.lease.subnets);
    for (let failures = 1; ; failures++) {
      const repairs = isOverwritten;
      isOverwritten = false;
      try {
        if (!repairs) return await store.renew(current, signal);
        const wanted = attrs;
        const repaired = await store.repair(current, wanted, signal);
        if (repaired !== undefined && written !== wanted) {
          written = wanted;
          log.info(`announced ${subnet} anew`, { public_ip: wanted.publicIP[4] });
        } else if (repaired !== undefined && repaired.lease.revision !== current.lease.revision) {
          log.warn('somebody wrote over our lease: wrote it again', { subnet });
        }
        return repaired;
      } catch (error) {
        signal.throwIfAborted();
        isOverwritten ||= repairs;
        const { message } = asTwillError(error, 'datastore', 'datastore');
        log.warn(`cannot ${repairs ? 'repair' : 'renew'} the lease yet: ${message}`);
        await clock.sleep(backoffMs(DATASTORE_BACKOFF, failures, random), signal);
      }
      if (held !== current) return undefined;
    }
  };

  return {
    get held() {
      return held;
    },
    get subnets() {
      const lease = held?.lease ?? (isTaken ? undefined : last?.lease);
      if (lease?.key !== usable?.key) usable = lease;
      return usable?.subnets;
    },
    trouble() {
      if (held !== undefined) return isDoubtful ? 'asking whether our lease still stands' : undefined;
      if (isTaken) return 'another node has our subnet: taking another one';
      return deps.hasConfig() ? 'taking a lease again' : NO_CONFIG;
    },
    acquire,
    announce(next) {
      if (isDeepStrictEqual(next, attrs)) return;
      attrs = next;
      if (held === undefined) return;
      isOverwritten = true;
      bell.ring();
    },
    doubt() {
      isDoubtful = true;
      bell.ring();
    },
    notice,
    async run(onChange, signal) {
      if (last === undefined) throw new Error('run before acquire');
      for (;;) {
        const current = held;
        // It may have been lost at any moment, also before we came here.
        if (current !== undefined) {
          await bell.wait(signal, renewAfterMs(current, deps.renewMarginMinutes));
          const kept = held === current ? await keep(current, signal) : undefined;
          if (held === current) held = kept;
          if (held !== undefined) {
            last = held;
            // What was heard meanwhile has not been looked at yet.
            isDoubtful = isOverwritten;
            log.debug('kept', { subnet: formatSubnets(held.lease.subnets), ttl: held.ttlSeconds });
            continue;
          }
        }
        onChange(await acquireAgain(last.lease, signal));
      }
    },
  };
}

const NO_CONFIG = 'the network configuration is gone from the datastore: waiting for it';

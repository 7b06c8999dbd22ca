// Holds this node's lease in a key-value store: claims it, renews it, writes it again where it was overwritten, and
// claims again where it was lost. `tenure.ts` decides what an event or an answer means, `choose.ts` which lease to get.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs, retry } from '../base/retry.ts';
import type { Condition } from '../model/condition.ts';
import type { PerFamily, Prefix } from '../model/ip.ts';
import { formatSubnetKey, formatSubnets } from '../model/lease.ts';
import type { HolderInput, LeaseHolder, OwnAttrs } from '../model/lease-holder.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import type { HeldLease, LeaseStore } from '../model/lease-store.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { exhausted } from './allocator.ts';
import { answerChallenge, isAnswered } from './challenge.ts';
import { choose, findMisfits } from './choose.ts';
import { LIMITS } from './limits.ts';
import { renewAfterMs } from './renewal.ts';
import {
  type Held,
  lastLease,
  leaseInUse,
  onCheckAnswer,
  onClaimAnswer,
  onEvent,
  recheck,
  type Tenure,
  usable,
} from './tenure.ts';
import { conditionOf, NO_CONFIG, reportChange, reportGranted } from './tenure-report.ts';

export interface KvLeaseHolderDeps extends HolderInput {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  /** A lease is renewed when this many minutes of it are left. */
  readonly renewMarginMinutes: number;
}

/** What one `acquire` has learned beyond the known leases. */
interface Search {
  /** The subnets to prefer. */
  previous: PerFamily<Prefix> | undefined;
  /** Subnets that another node has, by its own answer or by the store's. */
  readonly taken: PerFamily<Prefix>[];
  /** Revisions of leases of ours that have ended, although they are still listed. */
  readonly gone: Set<number>;
}

export class KvLeaseHolder implements LeaseHolder {
  readonly #deps: KvLeaseHolderDeps;
  readonly #log: Logger;
  /** Rung when the tenure or the announcement changes, and at each event while no lease is held. */
  readonly #bell;
  #tenure: Tenure = { kind: 'none' };
  /** The usable ones of the tenure. */
  #subnets: PerFamily<Prefix> | undefined;
  /** Our announcement. It is written where the lease was written with another one. */
  #self: OwnAttrs;
  /** Given to `run`. */
  #onChange: () => void = () => undefined;

  constructor(deps: KvLeaseHolderDeps) {
    this.#deps = deps;
    this.#log = deps.log;
    this.#self = deps.attrs;
    this.#bell = createBell(deps.clock);
  }

  /** The lease that is ours by all that is known. */
  get held(): HeldLease | undefined {
    return this.#tenure.kind === 'held' ? this.#tenure.lease : undefined;
  }

  get subnets(): PerFamily<Prefix> | undefined {
    return this.#subnets;
  }

  conditions(): readonly Condition[] {
    const condition = conditionOf(this.#tenure, this.#deps.known.config !== undefined);
    return condition === undefined ? [] : [condition];
  }

  async acquire(previous: PerFamily<Prefix> | undefined, signal: AbortSignal): Promise<void> {
    if (this.#tenure.kind === 'held') return;
    await this.#releaseMisfits(signal);
    const search: Search = { previous, taken: [], gone: new Set() };
    for (let attempt = 0; attempt < LIMITS.claimAttempts; attempt++) {
      if (await this.#attempt(search, signal)) return;
    }
    throw new TwillError('datastore', `lost the race for a subnet ${LIMITS.claimAttempts} times in a row`);
  }

  announce(attrs: OwnAttrs): void {
    if (isDeepStrictEqual(attrs, this.#self)) return;
    this.#self = attrs;
    this.#bell.ring();
  }

  notice(event: StoreEvent, signal: AbortSignal): void {
    this.#become(onEvent(this.#tenure, event, this.#self));
    // The network configuration may be back.
    if (this.#tenure.kind !== 'held') this.#bell.ring();
    if (event.type !== 'challenge' || leaseInUse(this.#tenure)?.lease.key !== event.key) return;
    const public_ip = this.#self.publicIP.ipv4;
    this.#log.warn(`node ${event.by.name} asks whether we are alive: answering`, { public_ip });
    void answerChallenge(this.#deps, event.key, event.by, signal);
  }

  recheck(): void {
    this.#become(recheck(this.#tenure));
  }

  async run(onChange: () => void, signal: AbortSignal): Promise<void> {
    this.#onChange = onChange;
    for (;;) {
      const now = this.#tenure;
      if (now.kind !== 'held') {
        await this.#acquireAgain(signal);
        onChange();
        continue;
      }
      if (now.check === undefined && now.written === this.#self) {
        const afterMs = renewAfterMs(now.lease, this.#deps.renewMarginMinutes);
        if ((await this.#bell.wait(signal, afterMs)) === 'rung') continue;
      }
      await this.#check(signal);
    }
  }

  async #acquireAgain(signal: AbortSignal): Promise<void> {
    const { clock, random, known } = this.#deps;
    const last = lastLease(this.#tenure);
    if (last === undefined) throw new Error('run before acquire');
    const { subnets } = last.lease;
    const subnet = formatSubnets(subnets);
    if (known.config === undefined) {
      this.#log.warn(`${NO_CONFIG}; routes and rules stay`, { subnet });
      while (known.config === undefined) await this.#bell.wait(signal);
    }
    this.#log.warn('the lease has ended: claiming one again', { subnet });
    const attempt = (): Promise<void> => this.acquire(subnets, signal);
    const onFailure = (error: unknown): void =>
      this.#log.error(`cannot claim a lease again: ${asTwillError(error, 'datastore', 'datastore').message}`);
    await retry({ clock, random, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
  }

  /** Tries to get the lease that is chosen now. False: another node has it, or it has ended; `search` says so then. */
  async #attempt(search: Search, signal: AbortSignal): Promise<boolean> {
    const { store, config, random, known } = this.#deps;
    const self = this.#self;
    const { previous, taken, gone } = search;
    const leases = known.leases.filter(({ revision }) => !gone.has(revision));
    const last = lastLease(this.#tenure)?.lease;
    const choice = choose({ leases, config, self, previous, random, last, taken });
    if (choice.kind === 'full') throw exhausted(config, known.leases);
    if (choice.kind === 'claim') {
      if (await this.#claimFree(choice.subnets, self, signal)) return true;
      this.#log.debug('lost the race for a subnet', { subnet: formatSubnets(choice.subnets) });
      taken.push(choice.subnets);
      return false;
    }
    const { lease } = choice;
    if (choice.kind === 'ask' && (await isAnswered(this.#deps, choice, self, signal))) {
      taken.push(lease.subnets);
      return false;
    }
    if (await this.#request('kept', lease.key, self, () => store.adopt(lease, self, signal))) return true;
    gone.add(lease.revision);
    search.previous = lease.subnets;
    return false;
  }

  async #claimFree(subnets: PerFamily<Prefix>, self: OwnAttrs, signal: AbortSignal): Promise<boolean> {
    const { store } = this.#deps;
    const key = formatSubnetKey(subnets);
    const last = lastLease(this.#tenure);
    if (await this.#request('claimed', key, self, () => store.claim(subnets, self, signal))) return true;
    if (last?.lease.key !== key) return false;
    // The key may still be ours: then the deletion event was stale.
    if (await this.#request('kept', key, self, () => store.repair(last, self, signal))) return true;
    if (this.#tenure.kind === 'lost') {
      this.#become({ kind: 'taken', last, by: undefined });
      this.#onChange();
    }
    return false;
  }

  /** Asks the store for the lease `key`, written with `self`. False: it refused. `how`: for the log. */
  async #request(
    how: 'claimed' | 'kept',
    key: string,
    self: OwnAttrs,
    ask: () => Promise<HeldLease | undefined>,
  ): Promise<boolean> {
    const before = this.#tenure;
    if (before.kind === 'held' || before.kind === 'claiming') throw new Error(`claim while ${before.kind}`);
    this.#become({ kind: 'claiming', key, before, heard: undefined });
    let granted: HeldLease | undefined;
    try {
      granted = await ask();
      if (granted !== undefined) {
        const others = this.#deps.known.leases.filter((lease) => lease.key !== key).length;
        reportGranted(this.#log, how, granted, lastLease(before), others);
      }
    } finally {
      this.#become(onClaimAnswer(this.#tenure, granted, self, this.#self));
    }
    return granted !== undefined;
  }

  // One that lies outside the configured range would block subnets of it for as long as it lives.
  async #releaseMisfits(signal: AbortSignal): Promise<void> {
    const { store, config, known } = this.#deps;
    for (const lease of findMisfits(known.leases, config, this.#self)) {
      const subnet = formatSubnets(lease.subnets);
      this.#log.warn('our lease does not fit the network configuration any more', { subnet });
      await store.release({ lease, ttlSeconds: undefined }, signal);
    }
  }

  /** Renews the lease, or writes it again; tries until the store has answered or the lease is lost. */
  async #check(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    for (let failures = 1; ; failures++) {
      const now = this.#tenure;
      if (now.kind !== 'held') return;
      const writes = now.check === 'key' || now.written !== this.#self;
      try {
        return await (writes ? this.#repair(now, signal) : this.#renew(now, signal));
      } catch (error) {
        signal.throwIfAborted();
        const { message } = asTwillError(error, 'datastore', 'datastore');
        this.#log.warn(`cannot ${writes ? 'repair' : 'renew'} the lease yet: ${message}`);
        await clock.sleep(backoffMs(DATASTORE_BACKOFF, failures, random), signal);
      }
    }
  }

  async #renew(asked: Held, signal: AbortSignal): Promise<void> {
    const kept = await this.#deps.store.renew(asked.lease, signal);
    this.#become(onCheckAnswer(this.#tenure, asked, kept, asked.written));
    const subnet = formatSubnets(asked.lease.lease.subnets);
    if (kept !== undefined) this.#log.debug('renewed', { subnet, ttl: kept.ttlSeconds });
  }

  async #repair(asked: Held, signal: AbortSignal): Promise<void> {
    const self = this.#self;
    const { lease } = asked.lease;
    const kept = await this.#deps.store.repair(asked.lease, self, signal);
    this.#become(onCheckAnswer(this.#tenure, asked, kept, self));
    if (kept === undefined) return;
    const subnet = formatSubnets(lease.subnets);
    if (asked.written !== self) {
      this.#log.info(`announced ${subnet} anew`, { public_ip: self.publicIP.ipv4 });
    } else if (kept.lease.revision !== lease.revision) {
      this.#log.warn('our lease was overwritten: wrote it again', { subnet });
    }
  }

  #become(next: Tenure): void {
    const before = this.#tenure;
    if (next === before) return;
    this.#tenure = next;
    const subnets = usable(next);
    if (!isDeepStrictEqual(subnets, this.#subnets)) this.#subnets = subnets;
    this.#bell.ring();
    reportChange(this.#log, before, next);
  }
}

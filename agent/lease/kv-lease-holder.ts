// Holds this node's lease in a key-value store: claims it, renews it, writes it again where another node wrote it or
// asks about it, and claims again where it was lost. `tenure.ts` interprets events and answers, `choose.ts` chooses.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { retry } from '../base/retry.ts';
import type { Condition } from '../model/condition.ts';
import type { PerFamily, Prefix } from '../model/ip.ts';
import { formatSubnetKey, formatSubnets, type Lease } from '../model/lease.ts';
import type { HolderInput, LeaseHolder, OwnAttrs } from '../model/lease-holder.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import type { HeldLease, LeaseStore } from '../model/lease-store.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import type { LeaseTerm } from '../model/status.ts';
import { exhausted } from './allocator.ts';
import { Asker, awaitNews } from './challenge.ts';
import { CheckPace } from './check-pace.ts';
import { choose, type Question } from './choose.ts';
import { LIMITS } from './limits.ts';
import { releaseMisfits } from './misfits.ts';
import { renewAfterMs } from './renewal.ts';
import { newSearch, type Search } from './search.ts';
import {
  challengerIn,
  type Held,
  isByOthers,
  lastLease,
  onCheckAnswer,
  onClaimAnswer,
  onEvent,
  recheck,
  type Tenure,
  usable,
} from './tenure.ts';
import { createForeignWrites, NO_CONFIG, reportChange, reportGranted } from './tenure-report.ts';
import { TenureTimes } from './tenure-times.ts';
import { createTrouble } from './trouble.ts';

export interface KvLeaseHolderDeps extends HolderInput {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  /** A lease is renewed when this many minutes of it are left. */
  readonly renewMarginMinutes: number;
}

export class KvLeaseHolder implements LeaseHolder {
  readonly #deps: KvLeaseHolderDeps;
  readonly #log: Logger;
  /** Rung when the tenure or the announcement changes, and at each event while no lease is held. */
  readonly #bell;
  #tenure: Tenure = { kind: 'none' };
  /** The usable ones of the tenure. */
  #subnets: PerFamily<Prefix> | undefined;
  readonly #times;
  /** Our announcement. It is written where the lease was written with another one. */
  #self: OwnAttrs;
  /** Given to `run`. */
  #onChange: () => void = () => undefined;
  readonly #pace;
  readonly #trouble;
  readonly #asker;
  readonly #foreignWrites;

  constructor(deps: KvLeaseHolderDeps) {
    this.#deps = deps;
    this.#log = deps.log;
    this.#times = new TenureTimes(deps.clock);
    this.#self = deps.attrs;
    this.#bell = createBell(deps.clock);
    this.#pace = new CheckPace(deps.clock, deps.random);
    this.#trouble = createTrouble(deps.log);
    this.#asker = new Asker(deps);
    this.#foreignWrites = createForeignWrites(deps.log, deps.clock);
  }

  /** The lease that is ours by all that is known. */
  get held(): HeldLease | undefined {
    return this.#tenure.kind === 'held' ? this.#tenure.lease : undefined;
  }

  get subnets(): PerFamily<Prefix> | undefined {
    return this.#subnets;
  }

  term(): LeaseTerm | undefined {
    return this.#times.term(this.#tenure);
  }

  conditions(): readonly Condition[] {
    const condition = this.#times.condition(this.#tenure, this.#deps.known.config !== undefined);
    return condition === undefined ? [] : [this.#trouble.explain(condition)];
  }

  async acquire(previous: PerFamily<Prefix> | undefined, signal: AbortSignal): Promise<void> {
    if (this.#tenure.kind === 'held') return;
    await releaseMisfits(this.#deps, this.#self, signal);
    const search = newSearch(previous);
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

  notice(event: StoreEvent): void {
    const before = this.#tenure;
    const next = onEvent(before, event, this.#self);
    this.#become(next);
    // The network configuration may be back, or the lease that another node was faster with.
    if (next.kind !== 'held') this.#bell.ring();
    if (next === before || next.kind !== 'held' || next.check !== 'challenge') return;
    this.#pace.hurry();
    this.#foreignWrites.challenged(challengerIn(event, next.lease));
  }

  recheck(): void {
    this.#become(recheck(this.#tenure));
  }

  async run(onChange: () => void, signal: AbortSignal): Promise<void> {
    this.#onChange = onChange;
    for (;;) {
      if (!this.#pace.hasFailed) this.#trouble.clear();
      const now = this.#tenure;
      if (now.kind !== 'held') {
        await this.#acquireAgain(signal);
        this.#pace.succeed(false);
        onChange();
        continue;
      }
      const isDue = now.check !== undefined || now.written !== this.#self || this.#pace.hasFailed;
      const { renewMarginMinutes: margin } = this.#deps;
      const afterMs = isDue ? this.#pace.leftMs(isByOthers(now)) : renewAfterMs(now.lease, margin);
      if (afterMs > 0 && (await this.#bell.wait(signal, afterMs)) === 'rung') continue;
      await this.#check(now, signal);
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
    const onFailure = (error: unknown): void => this.#trouble.fail('cannot claim a lease again', error);
    await retry({ clock, random, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
  }

  /** Tries to get the lease that is chosen now. False: another node has it, or it has ended; `search` says so then. */
  async #attempt(search: Search, signal: AbortSignal): Promise<boolean> {
    const { config, random, known, spared } = this.#deps;
    const self = this.#self;
    const leases = known.leases.filter(({ revision }) => !search.gone.has(revision));
    const last = lastLease(this.#tenure)?.lease;
    const mayAsk = search.challenges < LIMITS.challenges;
    const choice = choose({ ...search, leases, config, self, random, last, mayAsk, spared: spared() });
    if (choice.kind === 'full') throw exhausted(config, known.leases);
    if (choice.kind === 'claim') {
      if (await this.#claimFree(choice.subnets, self, signal)) return true;
      this.#log.debug('lost the race for a subnet', { subnet: formatSubnets(choice.subnets) });
      search.taken.push(choice.subnets);
      return false;
    }
    if (choice.kind === 'ask') return this.#ask(search, choice, self, signal);
    return this.#adopt(search, choice.lease, self, signal);
  }

  /** Takes over the lease of a holder that does not answer; one at our address only if nothing better is found. */
  async #ask(search: Search, choice: Question, self: OwnAttrs, signal: AbortSignal): Promise<boolean> {
    search.challenges += 1;
    const answer = await this.#asker.ask(choice, self, signal);
    if (answer.kind === 'alive' || answer.kind === 'elsewhere') search.taken.push(choice.lease.subnets);
    if (answer.kind === 'changed') await this.#miss(search, choice.lease, signal);
    if (answer.kind !== 'silent') return false;
    if (choice.because !== 'namesake') return this.#adopt(search, answer.lease, self, signal);
    search.silent = answer.lease;
    return false;
  }

  async #adopt(search: Search, lease: Lease, self: OwnAttrs, signal: AbortSignal): Promise<boolean> {
    const { store } = this.#deps;
    if (await this.#request('kept', lease.key, self, () => store.adopt(lease, self, signal))) return true;
    search.missed = lease.subnets;
    search.silent = undefined;
    await this.#miss(search, lease, signal);
    return false;
  }

  // The lease has ended, or another node was faster. That node may have our address, which its lease will show.
  async #miss(search: Search, lease: Lease, signal: AbortSignal): Promise<void> {
    search.gone.add(lease.revision);
    await awaitNews(this.#deps, lease, this.#bell, signal);
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

  /** Renews the lease, or writes it again. A failure is logged, and is tried again later. */
  async #check(now: Held, signal: AbortSignal): Promise<void> {
    const writes = isByOthers(now) || now.written !== this.#self;
    try {
      await (writes ? this.#repair(now, signal) : this.#renew(now, signal));
      this.#pace.succeed(isByOthers(now));
    } catch (error) {
      signal.throwIfAborted();
      this.#trouble.fail(`cannot ${writes ? 'repair' : 'renew'} the lease yet`, error);
      this.#pace.fail();
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
    } else if (
      asked.check === 'key' &&
      kept.lease.revision !== lease.revision &&
      // Another session alone, such as that of a reservation, is left as it is.
      kept.lease.session === lease.session
    ) {
      this.#foreignWrites.overwritten(subnet);
    }
  }

  #become(next: Tenure): void {
    const before = this.#tenure;
    if (next === before) return;
    this.#tenure = next;
    this.#times.changed(before, next);
    const subnets = usable(next);
    if (!isDeepStrictEqual(subnets, this.#subnets)) this.#subnets = subnets;
    this.#bell.ring();
    reportChange(this.#log, before, next);
  }
}

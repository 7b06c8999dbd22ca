// Takes the datastore's events into the lease table, reports malformed entries once, and tells a listener of each
// event. A doubtful listing, such as one that lacks most known leases, needs a second one to confirm it:
//
//     listing ── sure ──▶ lease table
//        ▲ └──── doubtful ──▶ lease table, with the missing leases ── some time ──┐
//        └────────────────────────────────────────────────────────────────────────┘
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { withHint } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { createLogBudget } from '../base/log-budget.ts';
import type { Random } from '../base/random.ts';
import { createLeaseTable, type LeaseTable, type TableChange } from '../lease/lease-table.ts';
import { findVanished, isDoubtful } from '../lease/vanished.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import type { ConfigSource } from '../model/config-source.ts';
import type { Lease } from '../model/lease.ts';
import type { LeaseSource, StoreEvent } from '../model/lease-source.ts';
import { type Metric, single } from '../model/metrics.ts';
import type { NodeState } from '../model/status.ts';
import { LIMITS } from './limits.ts';

export interface StoreFollowerDeps {
  readonly leaseSource: LeaseSource;
  readonly configSource: ConfigSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called at each event while the network is large. */
  readonly onLarge: () => void;
}

export class StoreFollower {
  readonly table: LeaseTable = createLeaseTable();
  readonly #deps: StoreFollowerDeps;
  readonly #bell;
  readonly #start;
  readonly #connection;
  readonly #vanished;
  /** Rung when the wait for a second listing begins or starts over. */
  readonly #doubtBell;
  /** Leases that the last listing lacks, kept until a second one confirms that. */
  #kept = new Map<string, Lease>();
  #configInUse: string | undefined;
  #listener: ((event: StoreEvent, change: TableChange) => void) | undefined;
  /** Whether leases were left out at the last event. */
  #leavesOut = false;
  /** Whether a listing is awaited that will find room for them. */
  #awaitsRoom = false;
  readonly #malformedBudget;
  /** When the datastore told something last. */
  #heardMs: number | undefined;

  constructor(deps: StoreFollowerDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#doubtBell = createBell(deps.clock);
    this.#start = createConditionSlot('start', deps.log, deps.clock);
    this.#connection = createConditionSlot('datastore', deps.log, deps.clock);
    this.#vanished = createConditionSlot('leases', deps.log, deps.clock);
    this.#malformedBudget = createLogBudget({
      clock: deps.clock,
      lines: LIMITS.reportedMalformed,
      periodMs: LIMITS.reportPeriodMs,
      onFull: () => deps.log.warn('skipped more entries that are no leases; they are counted for a minute'),
      onRest: (entries) => deps.log.warn('skipped entries that are no leases', { entries }),
    });
    this.#start.wait('starting');
  }

  /** Whether the datastore answers, as far as it is known, and when it told something last. */
  get contact(): NodeState['store'] {
    const isConnected = this.#heardMs !== undefined && this.#connection.current === undefined;
    return { isConnected, heardMs: this.#heardMs };
  }

  conditions(): readonly Condition[] {
    return conditionsIn(this.#start, this.#connection, this.#vanished);
  }

  metrics(): readonly Metric[] {
    const { isComplete, leaseCount, leftOutCount, malformedCount } = this.table;
    return [
      single('twill_store_connected', Number(isComplete && this.#connection.current === undefined)),
      single('twill_leases', leaseCount),
      single('twill_left_out_leases', leftOutCount),
      single('twill_malformed_entries', malformedCount),
    ];
  }

  /** Follows the store until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const round = new AbortController();
      const either = AbortSignal.any([signal, round.signal]);
      // The wait for a second listing ends the round, or ends with it.
      this.#awaitSecondLook(either).then(
        () => round.abort(),
        () => undefined,
      );
      for await (const event of this.#deps.leaseSource.watch(either)) this.#take(event);
    }
  }

  /** From now on `listener` is given each event, with the change that it made in the table. */
  listen(listener: (event: StoreEvent, change: TableChange) => void): void {
    this.#listener = listener;
  }

  /** The text of the network configuration, as soon as there is one. */
  async configText(signal: AbortSignal): Promise<string> {
    const { configSource, log } = this.#deps;
    this.#start.wait('waiting for the datastore');
    while (!this.table.isComplete) await this.#bell.wait(signal);
    if (this.table.config === undefined) {
      const what = `waiting for the network configuration at ${configSource.where}`;
      this.#start.wait(what);
      log.info(what, { write_it_with: configSource.hint });
    }
    while (this.table.config === undefined) await this.#bell.wait(signal);
    this.#configInUse = this.table.config;
    this.#start.clear();
    return this.table.config;
  }

  #take(event: StoreEvent): void {
    const change = this.table.apply(event.type === 'snapshot' ? this.#weigh(event) : event);
    const { malformed, config } = change;
    if (this.table.leaseCount > LIMITS.smallNetworkLeases) this.#deps.onLarge();
    for (const { where, reason } of malformed) this.#reportMalformed(where, reason);
    if (config) this.#noticeConfig();
    this.#noticeLeftOut(event);
    if (event.type === 'lease') this.#settle(event.lease.key);
    if (event.type === 'lease-removed') this.#settle(event.key);
    this.#noticeConnection(event);
    this.#listener?.(event, change);
    this.#bell.ring();
  }

  /** The snapshot to take in: a doubtful one with the missing leases added. */
  #weigh(snapshot: Extract<StoreEvent, { type: 'snapshot' }>): StoreEvent {
    const { log } = this.#deps;
    const isKept = ({ key }: Lease): boolean => this.#kept.has(key);
    const known = this.table.leases;
    const missing = findVanished(known, snapshot);
    const sure = known.filter((lease) => !isKept(lease));
    const news = missing.filter((lease) => !isKept(lease));
    const stillWaits = snapshot.config === undefined && missing.length > 0;
    if (!stillWaits && !isDoubtful(sure, news, snapshot)) {
      if (this.#kept.size > 0)
        log.warn('a second listing of the datastore confirms that leases are gone', {
          leases: missing.length,
        });
      this.#kept.clear();
      this.#vanished.clear();
      return snapshot;
    }
    this.#kept = new Map(missing.map((lease) => [lease.key, lease]));
    const until =
      snapshot.config === undefined ? 'the network configuration is back' : 'a second listing confirms it';
    this.#vanished.fail(
      `${missing.length} of ${known.length} leases are gone from the datastore at once: keeping them until ${until}`,
    );
    this.#doubtBell.ring();
    return { ...snapshot, leases: [...snapshot.leases, ...missing] };
  }

  /** A missing lease has come back, or was surely deleted. */
  #settle(key: string): void {
    const { log } = this.#deps;
    if (!this.#kept.delete(key) || this.#kept.size > 0) return;
    this.#vanished.clear();
    log.info('no lease is missing any more');
  }

  /** Resolves when it is time for a second listing. */
  async #awaitSecondLook(signal: AbortSignal): Promise<void> {
    const pauseMs = LIMITS.vanishedPauseMs * (1 + this.#deps.random() / 2);
    await this.#doubtBell.wait(signal);
    while ((await this.#doubtBell.wait(signal, pauseMs)) === 'rung');
  }

  #noticeConfig(): void {
    const { log } = this.#deps;
    const { config } = this.table;
    // When it is back the other nodes take their subnets again: the second listing waits for that.
    if (this.#kept.size > 0) this.#doubtBell.ring();
    if (this.#configInUse === undefined) return;
    if (config === undefined) {
      log.warn('the network configuration is gone from the datastore; the one in use stays in use');
    } else if (config === this.#configInUse) {
      log.info('the network configuration is the one in use again');
    } else log.warn('the network configuration has changed; the new one is used from the next start on');
  }

  /** Tells people of leases that are left out, and sees to another listing when there is room for them. */
  #noticeLeftOut({ type }: StoreEvent): void {
    const { leaseCount, leftOutCount, hasRoomAgain } = this.table;
    if (type === 'snapshot') this.#awaitsRoom = false;
    if (hasRoomAgain && !this.#awaitsRoom) {
      this.#awaitsRoom = true;
      this.#doubtBell.ring();
    }
    if (leftOutCount > 0 === this.#leavesOut) return;
    this.#leavesOut = leftOutCount > 0;
    const { log } = this.#deps;
    if (this.#leavesOut)
      log.warn('the datastore holds too many leases: the newest ones are left out', { leases: leaseCount });
    else log.info('no lease is left out any more', { leases: leaseCount });
  }

  #noticeConnection(event: StoreEvent): void {
    const { log, clock } = this.#deps;
    if (event.type !== 'disconnected') this.#heardMs = clock.monotonicMs();
    if (event.type === 'disconnected') {
      // Attempts of one outage fail in several words. The same remedy stands for the same trouble.
      const { message, hint } = event.error;
      this.#connection.fail(withHint(event.error), hint ?? message);
    }
    if (event.type !== 'connected' && event.type !== 'snapshot') return;
    if (this.#connection.clear()) log.info('the datastore is back');
  }

  #reportMalformed(where: string, reason: string): void {
    const short = (text: string): string =>
      text.length > LIMITS.reportChars ? `${text.slice(0, LIMITS.reportChars)}…` : text;
    this.#malformedBudget(() =>
      this.#deps.log.warn('skipped an entry that is no lease', { key: short(where), reason: short(reason) }),
    );
  }
}

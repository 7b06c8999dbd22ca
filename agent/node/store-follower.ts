// Takes the datastore's events into the lease table, says once what is wrong in there, and lets others know that
// something has changed. A listing that has lost most of what was known is not believed before a second one agrees:
//
//     listing ── as before ──▶ lease table
//        ▲ └──── most is gone ──▶ lease table, with what is missing ── some time ──┐
//        └─────────────────────────────────────────────────────────────────────────┘
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { createLeaseTable, type LeaseTable, type TableChange } from '../lease/lease-table.ts';
import { findVanished, isDoubtful } from '../lease/vanished.ts';
import { type Condition, conditionsIn, createConditionSlot } from '../model/condition.ts';
import type { ConfigSource } from '../model/config-source.ts';
import type { Lease } from '../model/lease.ts';
import type { LeaseSource, StoreEvent } from '../model/lease-source.ts';
import { LIMITS } from './limits.ts';

export interface StoreFollowerDeps {
  readonly leaseSource: LeaseSource;
  readonly configSource: ConfigSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called when the network has more leases than a small one. */
  readonly onLarge: () => void;
}

export class StoreFollower {
  readonly table: LeaseTable = createLeaseTable();
  readonly #deps: StoreFollowerDeps;
  readonly #bell;
  readonly #start;
  readonly #connection;
  readonly #vanished;
  /** Rung when the wait for a second listing begins, and when it begins anew. */
  readonly #doubtBell;
  /** Leases that are in no listing any more and are kept for the time being. */
  #kept = new Map<string, Lease>();
  #configInUse: string | undefined;
  #listener: ((event: StoreEvent, change: TableChange) => void) | undefined;
  #reportedMalformed = 0;

  constructor(deps: StoreFollowerDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#doubtBell = createBell(deps.clock);
    this.#start = createConditionSlot('start', deps.log);
    this.#connection = createConditionSlot('datastore', deps.log);
    this.#vanished = createConditionSlot('leases', deps.log);
    this.#start.wait('starting');
  }

  conditions(): readonly Condition[] {
    return conditionsIn(this.#start, this.#connection, this.#vanished);
  }

  /** Follows the store until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const round = new AbortController();
      const either = AbortSignal.any([signal, round.signal]);
      // It ends with this round, by its own abort or the other one.
      this.#awaitSecondLook(either).then(
        () => round.abort(),
        () => undefined,
      );
      for await (const event of this.#deps.leaseSource.watch(either)) this.#take(event);
    }
  }

  /** From now on `listener` is given each event after the table has taken it in, with its effect there. */
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
    if (event.type === 'lease') this.#settle(event.lease.key);
    if (event.type === 'lease-removed') this.#settle(event.key);
    this.#noticeConnection(event);
    this.#listener?.(event, change);
    this.#bell.ring();
  }

  /** The snapshot to believe: with what is missing in it, where that is too much. */
  #weigh(snapshot: Extract<StoreEvent, { type: 'snapshot' }>): StoreEvent {
    const { log } = this.#deps;
    const isKept = ({ key }: Lease): boolean => this.#kept.has(key);
    const known = this.table.leases;
    const missing = findVanished(known, snapshot);
    const sure = known.filter((lease) => !isKept(lease));
    const news = missing.filter((lease) => !isKept(lease));
    const stillWaits = snapshot.config === undefined && missing.length > 0;
    if (!stillWaits && !isDoubtful(sure, news, snapshot)) {
      if (this.#kept.size > 0) log.warn('a second listing of the datastore agrees', { gone: missing.length });
      this.#kept.clear();
      this.#vanished.clear();
      return snapshot;
    }
    this.#kept = new Map(missing.map((lease) => [lease.key, lease]));
    const until =
      snapshot.config === undefined ? 'the network configuration is back' : 'a second listing agrees';
    this.#vanished.fail(
      `${missing.length} of ${known.length} leases are gone from the datastore at once: what stands stays until ${until}`,
    );
    this.#doubtBell.ring();
    return { ...snapshot, leases: [...snapshot.leases, ...missing] };
  }

  /** A lease that was missing has come back, or is surely gone. */
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
    // Nodes come back with it: the second listing waits for them.
    if (this.#kept.size > 0) this.#doubtBell.ring();
    if (this.#configInUse === undefined) return;
    if (config === undefined) {
      log.warn('the network configuration is gone from the datastore; what stands stays');
    } else if (config === this.#configInUse) {
      log.info('the network configuration is the one in use again');
    } else log.warn('the network configuration has changed; it counts from the next start on');
  }

  #noticeConnection(event: StoreEvent): void {
    const { log } = this.#deps;
    if (event.type === 'disconnected') this.#connection.fail(event.error.message);
    if (event.type !== 'connected' && event.type !== 'snapshot') return;
    if (this.#connection.clear()) log.info('the datastore is back');
  }

  #reportMalformed(key: string, reason: string): void {
    this.#reportedMalformed++;
    const { log } = this.#deps;
    if (this.#reportedMalformed <= LIMITS.reportedMalformed) {
      log.warn('skipped an entry that is no lease', { key, reason });
    } else if (this.#reportedMalformed === LIMITS.reportedMalformed + 1) {
      log.warn('skipped more entries that are no leases; they are not listed any more');
    }
  }
}

// Takes the datastore's events into the lease table, says once what is wrong in there, and lets others know that
// something has changed.
import { createBell } from './base/bell.ts';
import type { Clock } from './base/clock.ts';
import type { Logger } from './base/log.ts';
import { createLeaseTable, type LeaseTable } from './lease/lease-table.ts';
import { LIMITS } from './limits.ts';
import type { LeaseStore, StoreEvent } from './model/lease-store.ts';
import type { Troubles } from './observe/troubles.ts';

export interface StoreFollowerDeps {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly troubles: Troubles;
}

export class StoreFollower {
  readonly table: LeaseTable = createLeaseTable();
  readonly #deps: StoreFollowerDeps;
  readonly #bell;
  #listener: ((event: StoreEvent) => void) | undefined;
  #reportedMalformed = 0;

  constructor(deps: StoreFollowerDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Follows the store until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    for await (const event of this.#deps.store.watch(signal)) {
      const { malformed } = this.table.apply(event);
      for (const { key, reason } of malformed) this.#reportMalformed(key, reason);
      this.#noticeConnection(event);
      this.#listener?.(event);
      this.#bell.ring();
    }
  }

  /** From now on `listener` is given each event after the table has taken it in. */
  listen(listener: (event: StoreEvent) => void): void {
    this.#listener = listener;
  }

  /** The text of the network configuration, as soon as there is one. */
  async configText(signal: AbortSignal): Promise<string> {
    const { store, log, troubles } = this.#deps;
    troubles.wait('agent', 'waiting for the datastore');
    while (!this.table.isComplete) await this.#bell.wait(signal);
    if (this.table.config === undefined) {
      const what = `waiting for the network configuration at ${store.configPath}`;
      troubles.wait('agent', what);
      log.info(what, { write_it_with: store.configHint });
    }
    for (;;) {
      if (this.table.config !== undefined) return this.table.config;
      await this.#bell.wait(signal);
    }
  }

  #noticeConnection(event: StoreEvent): void {
    const { log, troubles } = this.#deps;
    if (event.type === 'disconnected') troubles.complain('datastore', event.error.message);
    if (event.type !== 'connected' && event.type !== 'snapshot') return;
    if (troubles.clear('datastore')) log.info('the datastore is back');
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

// Everyone's leases, by the events of the lease source. No I/O. A malformed entry leaves the lease that was known
// before it in place: a bad entry never removes a route.
import type { Lease } from '../model/lease.ts';
import type { KnownLeases } from '../model/lease-holder.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';

/** The changes by one event. */
export interface TableChange {
  /** Keys of the leases that came, changed or went; `all`: any of them may have. */
  readonly leases: readonly string[] | 'all';
  readonly config: boolean;
  /** Malformed entries that were not known before. */
  readonly malformed: readonly MalformedEntry[];
}

/** Iterating it gives the leases. */
export interface LeaseTable extends Iterable<Lease>, KnownLeases {
  /** Updates the table by an event. */
  apply(event: StoreEvent): TableChange;
  /** Whether there was a snapshot. */
  readonly isComplete: boolean;
  get(key: string): Lease | undefined;
  readonly leaseCount: number;
  /** How many malformed entries the store holds. */
  readonly malformedCount: number;
}

const NOTHING: TableChange = { leases: [], config: false, malformed: [] };

export function createLeaseTable(): LeaseTable {
  let leases = new Map<string, Lease>();
  let malformed = new Map<string, MalformedEntry>();
  let config: string | undefined;
  let isComplete = false;

  const isNew = ({ where, reason }: MalformedEntry): boolean => malformed.get(where)?.reason !== reason;
  // A new lease under the key, or its deletion, ends the malformed entry.
  const forgetMalformed = (key: string): void => {
    for (const entry of malformed.values()) if (entry.key === key) malformed.delete(entry.where);
  };
  const setConfig = (text: string | undefined): boolean => {
    const changed = config !== text;
    config = text;
    return changed;
  };

  return {
    apply(event) {
      switch (event.type) {
        case 'snapshot': {
          const before = leases;
          leases = new Map(event.leases.map((lease) => [lease.key, lease]));
          for (const { key } of event.malformed) {
            const known = key === undefined ? undefined : before.get(key);
            if (known !== undefined) leases.set(known.key, known);
          }
          const reported = event.malformed.filter(isNew);
          malformed = new Map(event.malformed.map((entry) => [entry.where, entry]));
          isComplete = true;
          return { leases: 'all', config: setConfig(event.config), malformed: reported };
        }
        case 'lease': {
          leases.set(event.lease.key, event.lease);
          forgetMalformed(event.lease.key);
          return { ...NOTHING, leases: [event.lease.key] };
        }
        case 'lease-removed':
          forgetMalformed(event.key);
          return leases.delete(event.key) ? { ...NOTHING, leases: [event.key] } : NOTHING;
        case 'malformed': {
          const reported = [event.entry].filter(isNew);
          malformed.set(event.entry.where, event.entry);
          return { ...NOTHING, malformed: reported };
        }
        case 'config':
          return { ...NOTHING, config: setConfig(event.text) };
        case 'connected':
        case 'disconnected':
          return NOTHING;
      }
    },
    get config() {
      return config;
    },
    get isComplete() {
      return isComplete;
    },
    get leases() {
      return [...leases.values()];
    },
    get: (key) => leases.get(key),
    [Symbol.iterator]: () => leases.values(),
    get leaseCount() {
      return leases.size;
    },
    get malformedCount() {
      return malformed.size;
    },
  };
}

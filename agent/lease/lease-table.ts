// Everyone's leases, as the store's events tell them. It does no I/O; what is malformed changes nothing that was
// known before, so that a bad entry never takes a route away.
import type { Lease } from '../model/lease.ts';
import type { KnownLeases } from '../model/lease-holder.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';

/** What an event changed. */
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

  const isNews = ({ where, reason }: MalformedEntry): boolean => malformed.get(where)?.reason !== reason;
  // What stood for a subnet is no longer malformed once it was written anew or is gone.
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
          const news = event.malformed.filter(isNews);
          malformed = new Map(event.malformed.map((entry) => [entry.where, entry]));
          isComplete = true;
          return { leases: 'all', config: setConfig(event.config), malformed: news };
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
          const news = [event.entry].filter(isNews);
          malformed.set(event.entry.where, event.entry);
          return { ...NOTHING, malformed: news };
        }
        case 'config':
          return { ...NOTHING, config: setConfig(event.text) };
        case 'challenge':
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

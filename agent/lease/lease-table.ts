// Everyone's leases, by the events of the lease source. No I/O. A malformed entry leaves the lease that was known
// before it in place: a bad entry never removes a route.
//
// Whoever may write the datastore must not fill the memory. A full table leaves new leases out, and of a listing the
// oldest ones stay: a flood comes later than the nodes that it is to harm. Only a new listing tells of those left out.
import type { Lease } from '../model/lease.ts';
import type { KnownLeases } from '../model/lease-holder.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';
import { LIMITS } from './limits.ts';
import { weightOf } from './weight.ts';

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
  /** How many malformed entries the store holds. Beyond a limit an entry that is written again counts again. */
  readonly malformedCount: number;
  /** Leases that were left out because the table was full. One that is written again counts again. */
  readonly leftOutCount: number;
  /** Whether leases were left out, and a new listing would find room for some. */
  readonly hasRoomAgain: boolean;
}

const NOTHING: TableChange = { leases: [], config: false, malformed: [] };

/** The part of a full table that has to be free before another listing pays. */
const ROOM = 0.1;

export function createLeaseTable(): LeaseTable {
  let leases = new Map<string, Lease>();
  let bytes = 0;
  let leftOut = 0;
  /** By the key of the lease that each would be, or by its path. */
  let malformed = new Map<string, MalformedEntry>();
  /** Malformed entries that are counted alone. */
  let malformedRest = 0;
  let config: string | undefined;
  let isComplete = false;

  const idOf = ({ where, key }: MalformedEntry): string => key ?? where;
  const isNew = (entry: MalformedEntry): boolean => malformed.get(idOf(entry))?.reason !== entry.reason;
  const forgetMalformed = (id: string): boolean => malformed.delete(id);
  const remove = (key: string): boolean => {
    const known = leases.get(key);
    if (known === undefined) return false;
    bytes -= weightOf(known);
    return leases.delete(key);
  };
  /** False: it is left out, and a lease that was known under its key stays. */
  const add = (lease: Lease): boolean => {
    const known = leases.get(lease.key);
    const after = bytes + weightOf(lease) - (known === undefined ? 0 : weightOf(known));
    const isFull = known === undefined && leases.size >= LIMITS.knownLeases;
    if (isFull || after > LIMITS.knownLeaseBytes) {
      leftOut += 1;
      return false;
    }
    leases.set(lease.key, lease);
    bytes = after;
    return true;
  };
  const replaceLeases = (listed: readonly Lease[]): void => {
    leases = new Map();
    bytes = 0;
    leftOut = 0;
    for (const lease of listed) add(lease);
    if (leftOut === 0) return;
    leases = new Map();
    bytes = 0;
    leftOut = 0;
    for (const lease of listed.toSorted((a, b) => a.created - b.created)) add(lease);
  };
  const replaceMalformed = (listed: readonly MalformedEntry[]): MalformedEntry[] => {
    const kept = listed.slice(0, LIMITS.knownMalformed);
    const fresh = kept.filter(isNew);
    malformed = new Map(kept.map((entry) => [idOf(entry), entry]));
    malformedRest = listed.length - kept.length;
    return fresh;
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
          const kept = event.malformed.flatMap(({ key }) => {
            const known = key === undefined ? undefined : before.get(key);
            return known === undefined ? [] : known;
          });
          replaceLeases([...event.leases, ...kept]);
          isComplete = true;
          const reported = replaceMalformed(event.malformed);
          return { leases: 'all', config: setConfig(event.config), malformed: reported };
        }
        case 'lease': {
          // A new lease under the key, or its deletion, ends the malformed entry.
          forgetMalformed(event.lease.key);
          return add(event.lease) ? { ...NOTHING, leases: [event.lease.key] } : NOTHING;
        }
        case 'lease-removed': {
          const wasKnown = forgetMalformed(event.key);
          if (remove(event.key)) return { ...NOTHING, leases: [event.key] };
          if (!wasKnown && leftOut > 1) leftOut -= 1;
          return NOTHING;
        }
        case 'malformed': {
          const id = idOf(event.entry);
          if (!malformed.has(id) && malformed.size >= LIMITS.knownMalformed) {
            malformedRest += 1;
            return NOTHING;
          }
          const reported = [event.entry].filter(isNew);
          malformed.set(id, event.entry);
          return { ...NOTHING, malformed: reported };
        }
        case 'malformed-removed':
          if (!forgetMalformed(event.where)) malformedRest = Math.max(0, malformedRest - 1);
          return NOTHING;
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
      return malformed.size + malformedRest;
    },
    get leftOutCount() {
      return leftOut;
    },
    get hasRoomAgain() {
      const most = 1 - ROOM;
      const isFull = leases.size > LIMITS.knownLeases * most || bytes > LIMITS.knownLeaseBytes * most;
      return leftOut > 0 && !isFull;
    },
  };
}

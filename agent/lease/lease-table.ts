// Everyone's leases, as the store's events tell them. It does no I/O; what is malformed changes nothing that was
// known before, so that a bad entry never takes a route away.
import type { Prefix } from '../model/ip.ts';
import { containsPrefix, formatPrefix, overlaps, samePrefix } from '../model/ip.ts';
import type { Lease } from '../model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-store.ts';

/** What an event changed. */
export interface TableChange {
  readonly leases: boolean;
  readonly config: boolean;
  /** Malformed entries that were not known before. */
  readonly malformed: readonly MalformedEntry[];
}

export interface LeaseTable {
  /** Takes in an event. */
  apply(event: StoreEvent): TableChange;
  /** Text of the network configuration; undefined: there is none. */
  readonly config: string | undefined;
  /** Whether a snapshot has been taken in. */
  readonly isComplete: boolean;
  readonly leases: readonly Lease[];
  readonly leaseCount: number;
  /** How many malformed entries the store holds. */
  readonly malformedCount: number;
}

const NOTHING: TableChange = { leases: false, config: false, malformed: [] };

export function createLeaseTable(): LeaseTable {
  let leases = new Map<string, Lease>();
  let malformed = new Map<string, MalformedEntry>();
  let config: string | undefined;
  let isComplete = false;

  const isNews = ({ key, reason }: MalformedEntry): boolean => malformed.get(key)?.reason !== reason;
  // What stood for a subnet is no longer malformed once it was written anew or is gone.
  const forgetMalformed = (text: string): void => {
    for (const [key, { subnet }] of malformed) {
      if (subnet !== undefined && formatPrefix(subnet) === text) malformed.delete(key);
    }
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
          leases = new Map(event.leases.map((lease) => [formatPrefix(lease.subnet), lease]));
          for (const { subnet } of event.malformed) {
            const known = subnet && before.get(formatPrefix(subnet));
            if (known !== undefined) leases.set(formatPrefix(known.subnet), known);
          }
          const news = event.malformed.filter(isNews);
          malformed = new Map(event.malformed.map((entry) => [entry.key, entry]));
          isComplete = true;
          return { leases: true, config: setConfig(event.config), malformed: news };
        }
        case 'lease': {
          const key = formatPrefix(event.lease.subnet);
          leases.set(key, event.lease);
          forgetMalformed(key);
          return { ...NOTHING, leases: true };
        }
        case 'lease-removed': {
          const key = formatPrefix(event.subnet);
          forgetMalformed(key);
          return { ...NOTHING, leases: leases.delete(key) };
        }
        case 'malformed': {
          const news = [event.entry].filter(isNews);
          malformed.set(event.entry.key, event.entry);
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
    get leaseCount() {
      return leases.size;
    },
    get malformedCount() {
      return malformed.size;
    },
  };
}

/** What the event says of the lease of `subnet`, as an event of that lease alone; undefined: nothing. */
export function newsOf(event: StoreEvent, subnet: Prefix): StoreEvent | undefined {
  const isSame = (other: { readonly subnet: Prefix | undefined }): boolean =>
    other.subnet !== undefined && samePrefix(other.subnet, subnet);
  switch (event.type) {
    case 'snapshot': {
      const lease = event.leases.find(isSame);
      const entry = event.malformed.find(isSame);
      if (lease !== undefined) return { type: 'lease', lease };
      if (entry !== undefined) return { type: 'malformed', entry };
      return { type: 'lease-removed', subnet, revision: event.revision };
    }
    case 'lease':
      return isSame(event.lease) ? event : undefined;
    case 'lease-removed':
      return isSame(event) ? event : undefined;
    case 'malformed':
      return isSame(event.entry) ? event : undefined;
    default:
      return undefined;
  }
}

/**
 * The leases that may lead traffic away from this node. Leases are written by others and not to be trusted with
 * more than their part of the overlay: one outside the network, over our own subnet, or at our own address is
 * left out.
 */
export function peersOf(leases: readonly Lease[], network: Prefix, own: Prefix, publicIP: string): Lease[] {
  return leases.filter(
    ({ subnet, attrs }) =>
      containsPrefix(network, subnet) && !overlaps(subnet, own) && attrs.publicIP !== publicIP,
  );
}

// The memory of one search for a lease, from its beginning until a lease is held.
import type { PerFamily, Prefix } from '../model/ip.ts';
import type { Lease } from '../model/lease.ts';

/** The things that a search has learned beyond the known leases. */
export interface Search {
  /** The subnets of the last run, by the memory of this machine. */
  readonly previous: PerFamily<Prefix> | undefined;
  /** The subnets of a lease that could not be taken up. They may be free now, and are claimed first. */
  missed: PerFamily<Prefix> | undefined;
  /** Subnets that another node has, by its own answer or by the store's. */
  readonly taken: PerFamily<Prefix>[];
  /** Revisions of leases that are not ours any more, although they are still listed. */
  readonly gone: Set<number>;
  /** How many holders were asked. */
  challenges: number;
  /** The lease at our address whose holder did not answer. */
  silent: Lease | undefined;
}

export function newSearch(previous: PerFamily<Prefix> | undefined): Search {
  return { previous, missed: undefined, taken: [], gone: new Set(), challenges: 0, silent: undefined };
}

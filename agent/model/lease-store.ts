// The contract between the holder of a lease and a key-value store in which leases are claimed. The store alone decides
// who gets a subnet: two nodes never get the same one, because claiming is atomic. `ownership.ts` says whose a lease
// is.
import type { PerFamily, Prefix } from './ip.ts';
import type { Lease, LeaseAttrs, NodeIdentity } from './lease.ts';

/** A lease of our own, with the time for which it was kept alive. */
export interface HeldLease {
  readonly lease: Lease;
  /** Seconds until it expires unless renewed; undefined for a reservation. */
  readonly ttlSeconds: number | undefined;
}

/** The outcome of a challenge. */
export type ChallengeAnswer =
  /** The holder has written its lease anew. */
  | { readonly kind: 'alive' }
  /** The holder is alive at another address than the lease had: it has written that, or asks about the lease itself. */
  | { readonly kind: 'elsewhere' }
  /** The lease is gone, or is another node's now. */
  | { readonly kind: 'changed' }
  /** Nobody has answered. `lease`: as it stands now, with the challenge. This very lease may be taken over. */
  | { readonly kind: 'silent'; readonly lease: Lease };

/** Operations fail as `datastore`; a lost race is `undefined`. */
export interface LeaseStore {
  /** Claims subnets that nobody holds. Undefined: another node holds them. */
  claim(subnets: PerFamily<Prefix>, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Adopts a lease. One of the node in `attrs` is kept alive under its session, and its value is written where it
   * differs from `attrs` or has a challenge. One of a silent holder is taken over under a session of our own, if it is
   * still as in `lease`. A reservation stays one. Undefined: it has expired, or is another node's.
   */
  adopt(lease: Lease, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Writes our lease again where it was overwritten: by other attributes of this node, by a challenge, or by a value
   * that is no lease, and then with the session that it had. Undefined: it is gone, or another node's.
   */
  repair(held: HeldLease, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /** Keeps a lease alive without rewriting its key. Undefined: it has expired or was revoked. */
  renew(held: HeldLease, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Gives a lease back: deletes its key where it is as in `held`. A reservation stays. So does the session, to which
   * another writer may have bound other keys.
   */
  release(held: HeldLease, signal?: AbortSignal): Promise<void>;
  /**
   * Asks the holder of a lease for a sign of life within `waitMs`: writes `by` into the lease, which keeps its session.
   * A holder that runs hears of that, and repairs its lease.
   */
  challenge(lease: Lease, by: NodeIdentity, waitMs: number, signal?: AbortSignal): Promise<ChallengeAnswer>;
}

// The contract between the holder of a lease and a key-value store in which leases are claimed. The store alone decides
// who gets a subnet: two nodes never get the same one, because claiming is atomic.
import type { PerFamily, Prefix } from './ip.ts';
import type { Lease, LeaseAttrs, NodeIdentity } from './lease.ts';

/** A lease of our own, with the time for which it was kept alive. */
export interface HeldLease {
  readonly lease: Lease;
  /** Seconds until it expires unless renewed; undefined for a reservation. */
  readonly ttlSeconds: number | undefined;
}

/** Operations fail as `datastore`; a lost race is `undefined`. */
export interface LeaseStore {
  /** Claims subnets that nobody holds. Undefined: another node holds them. */
  claim(subnets: PerFamily<Prefix>, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Adopts a lease that an earlier run of ours, or a silent holder, left: keeps it alive, and rewrites its value only
   * where it differs from `attrs`. A reservation stays one. Challenges that wait are answered. Undefined: it has
   * expired, or has changed and is not the lease of the node in `attrs`.
   */
  adopt(lease: Lease, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /**
   * Writes our lease again where it was overwritten: by other attributes of this node, or by a value that is no lease,
   * and then with the session that it had. Undefined: it is gone, or another node's.
   */
  repair(held: HeldLease, attrs: LeaseAttrs, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /** Keeps a lease alive without rewriting its key. Undefined: it has expired or was revoked. */
  renew(held: HeldLease, signal?: AbortSignal): Promise<HeldLease | undefined>;
  /** Gives a lease back; a reservation stays. */
  release(held: HeldLease, signal?: AbortSignal): Promise<void>;
  /**
   * Asks the holder of a lease for a sign of life: true when it answered within `waitMs`. A holder that runs gets a
   * `challenge` event and calls `answerChallenge`.
   */
  challenge(lease: Lease, by: NodeIdentity, waitMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Answers every challenge of the lease with this key. */
  answerChallenge(key: string, signal?: AbortSignal): Promise<void>;
}

// The contract between a node and the part that gets it a lease and keeps it. A holder may claim subnets in a key-value
// store, or read those that another system, such as Kubernetes, has assigned to the node.
import type { Logger } from '../base/log.ts';
import type { Condition } from './condition.ts';
import type { PerFamily, Prefix } from './ip.ts';
import type { Lease, LeaseAttrs, NodeIdentity } from './lease.ts';
import type { StoreEvent } from './lease-source.ts';
import type { NetworkConfig } from './network-config.ts';
import type { LeaseTerm } from './status.ts';

/** The attributes that a node of ours announces. */
export type OwnAttrs = LeaseAttrs & { readonly node: NodeIdentity };

/** The leases and the configuration as known at this moment. */
export interface KnownLeases {
  /** A copy. */
  readonly leases: readonly Lease[];
  /** The text of the network configuration; undefined: there is none. */
  readonly config: string | undefined;
}

/** The part of a holder's input that the node knows. */
export interface HolderInput {
  readonly log: Logger;
  readonly config: NetworkConfig;
  readonly attrs: OwnAttrs;
  /** Knows each event before the holder is given it. */
  readonly known: KnownLeases;
  /** Prefixes that this host needs itself, at this moment: no new subnet overlaps them. */
  readonly spared: () => readonly Prefix[];
}

export interface LeaseHolder {
  /** The subnets that this node may use now; undefined: none. The same object while they are the same. */
  readonly subnets: PerFamily<Prefix> | undefined;
  /**
   * Gets a lease: an earlier one of this node's, else the `previous` subnets, else any.
   *
   * Fails as `exhausted`, as `conflict` when a live node with another identity has our public address, and as
   * `datastore`.
   */
  acquire(previous: PerFamily<Prefix> | undefined, signal: AbortSignal): Promise<void>;
  /** Announces `attrs` from now on; `run` writes them into the lease, under the same session. */
  announce(attrs: OwnAttrs): void;
  /** Takes in an event of the lease source. */
  notice(event: StoreEvent): void;
  /** The lease may have expired unnoticed: `run` asks the store at once. There is a condition until it answers. */
  recheck(): void;
  /** How long the lease lasts, for people; undefined: none is held. */
  term(): LeaseTerm | undefined;
  /** Empty while the lease is surely held. */
  conditions(): readonly Condition[];
  /**
   * Keeps the lease, or gets another one, until `signal` is aborted. Calls `onChange` after each new lease, and when
   * the subnets went out of use without an event.
   */
  run(onChange: () => void, signal: AbortSignal): Promise<void>;
}

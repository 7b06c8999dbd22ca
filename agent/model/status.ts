// A node as its parts tell of it at one moment, for people and programs that ask. Times are on the monotonic clock.
import type { Backend } from './backend.ts';
import type { Condition, PeerCondition } from './condition.ts';
import type { HostFacts } from './host-facts.ts';
import type { PerFamily, Prefix } from './ip.ts';
import type { Lease } from './lease.ts';
import type { NetworkConfig } from './network-config.ts';

/** How long this node has its subnet. */
export interface LeaseTerm {
  /**
   * - `leased`: it is renewed, or it expires.
   * - `reserved`: it never expires.
   * - `assigned`: another system assigns it to this node.
   */
  readonly kind: 'leased' | 'reserved' | 'assigned';
  /** When it ends unless it is renewed; undefined: never. */
  readonly expiresMs: number | undefined;
}

/** A change that was made after another program had changed an object of ours. */
export interface Repair {
  readonly atMs: number;
  /** As `formatChange` writes it. */
  readonly change: string;
}

export interface FirewallState {
  readonly mode: 'iptables' | 'nftables';
  /** Whether our rules are in place, as far as it is known. */
  readonly stands: boolean;
  /** Rules of others that drop our packets, a line each. */
  readonly obstacles: readonly string[];
}

export interface NodeState {
  /** About this node, failing ones first; empty: it is ready. */
  readonly conditions: readonly Condition[];
  /** About its peers. */
  readonly peerConditions: readonly PeerCondition[];
  /** Undefined: not read yet, like the next two. */
  readonly host: HostFacts | undefined;
  readonly config: NetworkConfig | undefined;
  readonly backend: Backend | undefined;
  /** The subnets in use; undefined: none. */
  readonly subnets: PerFamily<Prefix> | undefined;
  /** Undefined: there is no lease, or its holder does not know its term. */
  readonly term: LeaseTerm | undefined;
  /** The leases of all nodes. */
  readonly leases: Iterable<Lease>;
  readonly store: {
    readonly isConnected: boolean;
    /** When the datastore told something last; undefined: never. */
    readonly heardMs: number | undefined;
  };
  readonly kernel: {
    /** Objects that are wanted. */
    readonly objects: number;
    /** Name of the link that the overlay's packets pass; undefined: there is none of ours. */
    readonly device: string | undefined;
    /** Objects that were repaired since the start. */
    readonly repaired: number;
    /** The last repairs, oldest first. */
    readonly repairs: readonly Repair[];
  };
  /** Undefined: no rules are wanted, or none can be set. */
  readonly firewall: FirewallState | undefined;
}

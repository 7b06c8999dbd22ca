// The JSON form of a node's state, `twill.status/1`. Within version 1 members are only added. A value that is not known
// is null and never left out. Times are RFC 3339, durations seconds, and peers in the order of their subnets.
import type { Condition } from './condition.ts';

export const STATUS_SCHEMA = 'twill.status/1';

/**
 * - `planned`: routes and entries lead there.
 * - `leftOut`: its lease cannot be followed; `reason` says why.
 * - `refused`: the kernel refuses entries that lead there, or another program undoes them.
 * - `otherBackend`: it uses another backend than this node.
 */
export const PEER_STATES = ['planned', 'leftOut', 'refused', 'otherBackend'] as const;

export type PeerState = (typeof PEER_STATES)[number];

export interface PeerReport {
  /** Its host name; null where its lease has none. */
  readonly name: string | null;
  readonly subnet: string;
  readonly address: string;
  readonly backend: string;
  readonly state: PeerState;
  readonly reason: string | null;
  /** When the fault began. */
  readonly since: string | null;
  /** Nothing measures these yet. */
  readonly reachable: boolean | null;
  readonly lossRatio: number | null;
  readonly rttSeconds: number | null;
}

export interface PeerCounts {
  readonly total: number;
  readonly planned: number;
  readonly leftOut: number;
  readonly refused: number;
  readonly otherBackend: number;
}

export interface StatusReport {
  readonly schema: typeof STATUS_SCHEMA;
  /** When the report was made. */
  readonly at: string;
  readonly node: {
    readonly name: string | null;
    readonly version: string;
    readonly ready: boolean;
    /** When the node became ready, or not ready. */
    readonly since: string | null;
    readonly startedAt: string;
    /** Why it is not ready, faults first. */
    readonly conditions: readonly {
      readonly part: string;
      readonly state: Condition['state'];
      readonly reason: string;
      readonly since: string | null;
    }[];
  };
  readonly lease: {
    readonly subnet: string | null;
    readonly network: string | null;
    readonly kind: 'leased' | 'reserved' | 'assigned' | null;
    /** When it ends unless it is renewed; null: never, or there is no lease. */
    readonly expiresAt: string | null;
  };
  readonly store: {
    readonly kind: 'etcd' | 'file' | 'kubernetes';
    readonly connected: boolean;
    readonly lastHeardAt: string | null;
  };
  readonly backend: {
    readonly type: string | null;
    readonly mtuBytes: number | null;
    readonly device: string | null;
    readonly underlay: {
      readonly interface: string | null;
      readonly address: string | null;
      readonly publicAddress: string | null;
      readonly mtuBytes: number | null;
    };
  };
  readonly kernel: {
    readonly objects: number;
    readonly repaired: number;
    /** The last 50, newest first. */
    readonly repairs: readonly { readonly at: string; readonly change: string }[];
  };
  readonly firewall: {
    /** Null: the agent sets no rules. */
    readonly mode: 'iptables' | 'nftables' | null;
    readonly stands: boolean | null;
    readonly obstacles: readonly string[];
  };
  readonly peers: PeerCounts & {
    /** All of them where there are few; else some of those that are not reached. */
    readonly list: readonly PeerReport[];
  };
}

/** A page of peers. */
export interface PeerPage {
  readonly schema: typeof STATUS_SCHEMA;
  readonly peers: readonly PeerReport[];
  /** The subnet after which the next page begins; null: this is the last page. */
  readonly next: string | null;
}

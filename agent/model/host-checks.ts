// The settings, addresses and routes of this host that decide whether it carries the overlay's packets, and the
// contract for their source. They belong to the operator and to other programs.
import type { Prefix } from './ip.ts';

/** An address of the host. */
export interface HostAddress {
  readonly dev: string;
  readonly isBridge: boolean;
  /** Whether the host answers ARP on this link for the addresses that it routes elsewhere (proxy_arp). */
  readonly answersForOthers: boolean;
  /** The address with the length of its network: 172.17.0.1/16. */
  readonly prefix: Prefix;
}

/** A bridge of this host that holds containers of ours: its network is our subnet, or a part of it. */
export interface LocalBridge {
  readonly name: string;
  readonly network: Prefix;
}

/** A route of the host that some packet takes. */
export interface HostRoute {
  readonly dev: string;
  /** Its gateway; undefined: there is none. */
  readonly via?: string | undefined;
  /** Bits of its destination's network part. */
  readonly length: number;
  /** Number of its table. */
  readonly table: number;
}

/** Numbers of the table that holds our routes, and of that for the host's own addresses. */
export const MAIN_TABLE = 254;
export const LOCAL_TABLE = 255;

/** The name that stands for all links: Linux's own for their common setting, which is net.ipv4.ip_forward. */
export const ALL_LINKS = 'all';

export interface HostChecks {
  /** Those of these links that forward no packet that comes in by them. A link that is gone is not among them. */
  closedLinks(links: readonly string[]): Promise<readonly string[]>;
  /** Lets a link forward packets. Fails as `host` where the setting cannot be written. */
  open(link: string): Promise<void>;
  /**
   * The addresses whose networks overlap this one, on links that are up, and the number of all addresses of the host.
   * Fails as `host`.
   */
  addressesIn(
    network: Prefix,
  ): Promise<{ readonly addresses: readonly HostAddress[]; readonly seen: number }>;
  /**
   * Calls `onChange` when an address whose network overlaps this one has come or gone, or its link came up, until
   * `signal` is aborted. A link that goes down is not told of. Fails as `host` where no change is reported.
   */
  watchAddressesIn(network: Prefix, onChange: () => void, signal: AbortSignal): Promise<void>;
  /**
   * The routes that packets to these addresses take, in the same order. Undefined: none, or one that drops them. Fails
   * as `host`.
   */
  routesTowards(addresses: readonly string[]): Promise<readonly (HostRoute | undefined)[]>;
}

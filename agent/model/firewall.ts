// The firewall rules of a node as a value, and the contract of what puts them in place.
import type { Prefix } from './ip.ts';

/** What a packet must match; everything that is given must hold. */
export interface FirewallMatch {
  /** All bits of the packet's mark under `mask` equal `value`. */
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly source?: Prefix;
  readonly destination?: Prefix;
  readonly notSource?: Prefix;
  readonly notDestination?: Prefix;
}

/** `masquerade` rewrites the source address to the outgoing link's. */
export interface FirewallRule {
  readonly match: FirewallMatch;
  readonly action: 'return' | 'accept' | 'masquerade';
  /** For people reading the rule set. */
  readonly comment: string;
}

/**
 * The rules of one node, in order, for the two places where we have any. An empty list means: no chain of ours there.
 */
export interface FirewallRules {
  /** After routing, in the nat table. */
  readonly postrouting: readonly FirewallRule[];
  /** For forwarded packets, in the filter table. */
  readonly forward: readonly FirewallRule[];
  /** Masquerade with a random source port where the kernel can. */
  readonly randomFully: boolean;
}

/** Puts rules in place by one of the kernel's firewalls. Fails as `host`. */
export interface Firewall {
  readonly mode: 'iptables' | 'nftables';
  /**
   * Makes the kernel hold exactly these rules, in one transaction a table, before everybody else's where the
   * firewall has an order. Gives what was found: `present` means that nothing had to be done.
   */
  ensure(rules: FirewallRules, signal?: AbortSignal): Promise<'present' | 'repaired'>;
  /** Removes all that is ours in this mode. True: there was something. */
  remove(signal?: AbortSignal): Promise<boolean>;
}

/**
 * The firewall in use on a node, which is not alone there: each table's chains are asked, and one that drops is enough.
 */
export interface NodeFirewall extends Firewall {
  /**
   * Chains of others that surely drop what the rules accept within `network`, one line each that names the chain.
   * Those that only may are written to the log when they come. Where they cannot be read it is as at the last call.
   */
  obstacles(network: Prefix, signal?: AbortSignal): Promise<readonly string[]>;
}

// The firewall rules of a node as a value, and the contract of the firewall that puts them in place.
import type { LocalBridge } from './host-checks.ts';
import type { Prefix } from './ip.ts';
import type { RulesetChange } from './ruleset.ts';

/** The tests of a rule. A packet must pass each one that is given. */
export interface FirewallMatch {
  /** All bits of the packet's mark under `mask` equal `value`. */
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly source?: Prefix;
  readonly destination?: Prefix;
  readonly notSource?: Prefix;
  readonly notDestination?: Prefix;
  /** Name of the link that the packet came in by. */
  readonly inLink?: string;
  /** Name of a link that the packet does not go out by. */
  readonly notOutLink?: string;
}

export interface FirewallRule {
  readonly match: FirewallMatch;
  /**
   * - `return`: the packet leaves our chain.
   * - `accept`: the packet passes.
   * - `masquerade`: the packet gets the source address of the outgoing link.
   * - `keep-source`: the packet keeps its source address, whatever masquerade comes later.
   */
  readonly action: 'return' | 'accept' | 'masquerade' | 'keep-source';
  /** For people reading the rule set. */
  readonly comment: string;
}

/** The rules of one node, in order, a list for each chain. An empty list means: no chain of ours. */
export interface FirewallRules {
  /** After routing, in the nat table. */
  readonly postrouting: readonly FirewallRule[];
  /** For forwarded packets, in the filter table. */
  readonly forward: readonly FirewallRule[];
  /**
   * Packets that `forward` does not get: those from one network of this host to another one are for the rules of the
   * program that made the networks. Only where an accept of ours would overrule them.
   */
  readonly local: readonly FirewallRule[];
  /** Masquerade with a random source port where the kernel can. */
  readonly randomFully: boolean;
  /** After routing, before each masquerade of whatever program: containers see each other's own addresses. */
  readonly source: readonly FirewallRule[];
  /**
   * Before routing: packets from peers to our containers, which Docker drops since release 28.2. Only where Docker has
   * such drops; once there, they stay.
   */
  readonly direct: readonly FirewallRule[];
}

/** Puts some of the rules in place. Fails as `host`. */
export interface FirewallPart {
  /**
   * Makes the kernel hold exactly these rules, in one transaction a table, before all foreign rules where the
   * firewall has an order. `present`: the kernel held them already.
   */
  ensure(rules: FirewallRules, signal?: AbortSignal): Promise<'present' | 'repaired'>;
  /** Removes these rules of ours. True: there were some. */
  remove(signal?: AbortSignal): Promise<boolean>;
  /** Whether a change that the kernel tells of may have undone our rules or their place. */
  isConcerned(change: RulesetChange): boolean;
}

/** Puts rules in place by one of the kernel's firewalls. Fails as `host`. */
export interface Firewall extends FirewallPart {
  readonly mode: 'iptables' | 'nftables';
  /** Whether the kernel tells of each change of the rules. It tells of none in the old iptables tables. */
  isAnnounced(): boolean;
}

/** The connections that a node carries for containers, and that no other program's rules should stop. */
export interface Traffic {
  /** The whole overlay. */
  readonly network: Prefix;
  /** This node's slice of it. */
  readonly subnet: Prefix;
  /** Links that packets of other nodes come in by, and packets to them go out by. */
  readonly peerLinks: readonly string[];
  /** The link to the outside. */
  readonly underlay: string;
  /** Bridges that hold this node's containers. Empty: there may be one, of an unknown name. */
  readonly bridges: readonly LocalBridge[];
}

/** The firewall in use on a node. Foreign chains judge each packet too, and one that drops is enough. */
export interface NodeFirewall extends Firewall {
  /**
   * Foreign chains that surely drop this traffic between containers, one line each that names the chain, the rule and
   * a remedy. Chains that do less harm are logged when they appear. Gives the last answer where chains cannot be read.
   */
  obstacles(traffic: Traffic, signal?: AbortSignal): Promise<readonly string[]>;
  /** Whether a change that the kernel tells of may have changed the obstacles. */
  mayObstruct(change: RulesetChange): boolean;
  /** Whether the old iptables, of whose changes the kernel does not tell, may have changed the obstacles. */
  hasUnheardChange(): Promise<boolean>;
}

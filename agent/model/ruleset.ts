// The rule set of nftables as the kernel tells of it, and the contract of its reader. The newer iptables is built on it
// too. The tables of the old iptables are apart from it.

/** A table, a chain or a rule that the kernel told of: new, changed or gone. */
export interface RulesetChange {
  readonly kind: 'table' | 'chain' | 'rule';
  readonly isGone: boolean;
  /** Family and name: `ip nat`. */
  readonly table: string;
  /** The name of the chain, or of the rule's chain; undefined: it is a table. */
  readonly chain: string | undefined;
  /** A chain that the kernel calls on the way of forwarded packets. */
  readonly isHooked: boolean;
  /** A new rule that is not the first of its chain. */
  readonly isBehind: boolean;
  /** Whether the kernel's message has this text. A rule's message names the chain that it calls. */
  mentions(text: string): boolean;
}

/** The chains whose rules matter. */
export interface ChainsInUse {
  /** Their names, in whatever tables; undefined: every chain may matter. */
  names: ReadonlySet<string> | undefined;
  /** To be called after a change of `names`. */
  changed(): void;
}

/** The places on the way of a forwarded packet where the kernel calls chains, in this order. */
export type Hook = 'prerouting' | 'forward' | 'postrouting';

/** A chain that the kernel calls for forwarded IPv4 packets. */
export interface BaseChain {
  readonly family: 'ip' | 'inet';
  readonly table: string;
  readonly name: string;
  readonly hook: Hook;
  /** A chain for NAT sees the first packet of a connection alone. */
  readonly type: 'filter' | 'nat';
  /** The kernel calls the chains of a hook in the order of their numbers. */
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** The kernel skips the chains of a dormant table. `perhaps`: the table has flags of an unknown meaning. */
  readonly isActive: 'yes' | 'perhaps' | 'no';
}

export interface BaseChains {
  readonly chains: readonly BaseChain[];
  /** Of any hook or of none, as `ip filter KUBE-FORWARD`: chains with more rules than are read. */
  readonly long: ReadonlySet<string>;
  /** As `ip filter`: tables with no more rules in all than are read of one chain. */
  readonly small: ReadonlySet<string>;
}

/** Reads parts of the rule set. The cost is that of the part. Fails as `host`. */
export interface RulesetReader {
  /** The chains on the way of forwarded IPv4 packets. `long` are those with more rules than `mostRules`. */
  baseChains(mostRules: number): Promise<BaseChains>;
  /** Whether there is a table of this family and name. */
  hasTable(table: { readonly family: 'ip'; readonly name: string }): Promise<boolean>;
  /** Whether there is a chain of this name in a table of the family `ip`. */
  hasChain(table: string, name: string): Promise<boolean>;
  /** A number that changes with each change of any table, also of its sets; undefined: the kernel has no nftables. */
  generation(): Promise<number | undefined>;
}

/** A set of addresses in a table of the family `ip`. */
export interface SetName {
  readonly table: string;
  readonly name: string;
}

/** Changes sets of addresses. */
export interface AddressSets {
  /**
   * Removes and adds addresses in one transaction. Fails as `host`, and changes nothing, where there is no such set, or
   * an address to remove is not in it.
   */
  change(
    set: SetName,
    added: readonly string[],
    removed: readonly string[],
    signal?: AbortSignal,
  ): Promise<void>;
}

/** The sizes of a table of the old iptables, in bytes. Those that are text are only compared. */
export interface TableSizes {
  /** Of the chain that ours is called from. */
  readonly parent: string;
  readonly table: string;
  /** Of the whole table. */
  readonly bytes: number;
}

/**
 * Reads the sizes of the tables `nat`, `filter` and `raw` that exist, without the rules; undefined: the kernel does not
 * tell them. Never fails.
 */
export type ReadTableSizes = () => Promise<ReadonlyMap<string, TableSizes> | undefined>;

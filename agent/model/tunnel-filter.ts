// The filter of the tunnel port as a value, and its contract. A tunnel's packets have no signature: whoever reaches its
// port is taken for the node whose address the packet bears. So only nodes may reach it.
import type { Prefix } from './ip.ts';
import type { RulesetChange } from './ruleset.ts';

/** The UDP port that a backend's packets travel to, on every node. */
export interface Tunnel {
  readonly port: number;
  /** The device by which the kernel sends and receives; undefined: the agent does it itself. */
  readonly device: { readonly name: string; readonly vni: number } | undefined;
}

/** The part of the filter that stays the same while peers come and go. */
export interface TunnelRules {
  readonly tunnel: Tunnel;
  /** The whole overlay. */
  readonly network: Prefix;
  /** This node's slice of it. */
  readonly subnet: Prefix;
  /** The addresses of this host that peers' packets arrive at: on the link, and as announced. */
  readonly addresses: readonly string[];
}

/** Lets packets through the tunnel ports from node to node alone. Fails as `host`. */
export interface TunnelFilter {
  /**
   * Puts the rules in place for the tunnels of these addresses, whatever stood there. They drop nothing any more some
   * minutes after the last call: then the agent is gone for good.
   */
  replace(rules: TunnelRules, nodes: Iterable<string>, signal?: AbortSignal): Promise<void>;
  /** Changes the addresses alone. Fails where nothing stands. */
  change(added: readonly string[], removed: readonly string[], signal?: AbortSignal): Promise<void>;
  /** Whether the rules are as the last `replace` of this process has left them. */
  stands(signal?: AbortSignal): Promise<boolean>;
  /** Removes everything. True: there was something. */
  remove(signal?: AbortSignal): Promise<boolean>;
  /** Whether a change that the kernel tells of may have undone the rules. */
  isConcerned(change: RulesetChange): boolean;
}

// The facts about this machine that plans are made from.
import { containsAddress, type PerFamily, type Prefix } from './ip.ts';
import type { NodeIdentity } from './lease.ts';

/** The link with our address in the underlay. */
export interface UnderlayLink {
  readonly name: string;
  /**
   * Packets to other hosts leave by this link. False: it only holds our address, as lo does on a host that speaks BGP.
   * The routes choose among the links to other hosts.
   */
  readonly carriesPackets: boolean;
  /** The largest packet that reaches the other hosts: that of the way to them, not of a link that holds the address. */
  readonly mtuBytes: number;
  /** False: a cable is out, or the other end is down. */
  readonly hasCarrier: boolean;
}

/** A prefix whose hosts are reached without a gateway. */
export interface OnLinkPrefix extends Prefix {
  /** Name of the link that reaches them. */
  readonly dev: string;
}

/** This node's end of the underlay, in one family. */
export interface UnderlayEnd {
  /** Our address on the link; the source of overlay packets. */
  readonly address: string;
  /** The address that peers reach us at; `address`, unless the operator said otherwise. */
  readonly publicIP: string;
  /** The MAC by which peers know our vxlan device already. Undefined: none, so that the backend chooses one. */
  readonly knownMac?: string | undefined;
  /** The prefixes that are reached without a gateway. */
  readonly onLink: readonly OnLinkPrefix[];
}

/** Name of the link that reaches this address without a gateway; undefined: none does. */
export function linkTo({ onLink }: UnderlayEnd, address: string): string | undefined {
  let best: OnLinkPrefix | undefined;
  for (const prefix of onLink) {
    if (containsAddress(prefix, address) && (best === undefined || prefix.length > best.length))
      best = prefix;
  }
  return best?.dev;
}

export interface HostFacts {
  readonly node: NodeIdentity;
  /** Why this underlay was chosen, for the log. */
  readonly why: string;
  readonly underlay: UnderlayLink;
  readonly ends: PerFamily<UnderlayEnd>;
}

/** The source of the facts. */
export interface HostSource {
  /**
   * The facts of this moment. The underlay of `inUse` stays the underlay as long as its link is up and has the address.
   * Fails as `host` when no interface fits the operator's flags.
   */
  read(inUse?: HostFacts): Promise<HostFacts>;
  /** Calls `onChange` whenever they may have changed, until `signal` is aborted. Fails where no change is reported. */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;
}

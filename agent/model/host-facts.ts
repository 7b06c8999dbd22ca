// The facts about this machine that plans are made from.
import type { PerFamily, Prefix } from './ip.ts';
import type { NodeIdentity } from './lease.ts';

/** The link that carries overlay packets between hosts. */
export interface UnderlayLink {
  readonly name: string;
  readonly mtuBytes: number;
  /** False: a cable is out, or the other end is down. */
  readonly hasCarrier: boolean;
}

/** This node's end of the underlay, in one family. */
export interface UnderlayEnd {
  /** Our address on the link; the source of overlay packets. */
  readonly address: string;
  /** The address that peers reach us at; `address`, unless the operator said otherwise. */
  readonly publicIP: string;
  /** Prefixes whose hosts the link reaches without a gateway. */
  readonly onLink: readonly Prefix[];
}

export interface HostFacts {
  readonly node: NodeIdentity;
  readonly underlay: UnderlayLink;
  readonly ends: PerFamily<UnderlayEnd>;
}

/** The source of the facts. */
export interface HostSource {
  /** The facts of this moment. Fails as `host` when no interface fits the operator's flags. */
  read(): Promise<HostFacts>;
  /** Calls `onChange` whenever they may have changed, until `signal` is aborted. Fails where no change is reported. */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;
}

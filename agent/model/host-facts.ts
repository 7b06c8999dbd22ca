// What the agent knows of its own machine before it plans anything.
import type { Prefix } from './ip.ts';
import type { NodeIdentity } from './lease.ts';

/** The link that carries overlay packets between hosts. */
export interface UnderlayInterface {
  readonly name: string;
  /** Kernel index of the link. */
  readonly index: number;
  readonly mtuBytes: number;
  /** False: a cable is out, or the other end is down. */
  readonly hasCarrier: boolean;
  /** Our address on it; the source of overlay packets. */
  readonly address: string;
  /** Prefixes whose hosts this link reaches without a gateway. */
  readonly onLink: readonly Prefix[];
}

export interface HostFacts {
  readonly node: NodeIdentity;
  readonly underlay: UnderlayInterface;
  /** The address that peers reach us at; the underlay's, unless told otherwise. */
  readonly publicIP: string;
}

/** Where the facts come from. */
export interface HostSource {
  /** The facts of this moment. Fails as `host` when no interface is what the operator asked for. */
  read(): Promise<HostFacts>;
  /** Calls `onChange` whenever they may have changed, until `signal` is aborted; fails where nobody tells. */
  watch(onChange: () => void, signal: AbortSignal): Promise<void>;
}

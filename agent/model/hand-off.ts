// The values that the agent hands to programs that start containers, and the contract of the place for them.
import type { Prefix } from './ip.ts';

export interface SubnetEnv {
  /** The whole overlay. */
  readonly network: Prefix;
  /** This node's slice. The file has its first host address: 10.5.34.1/24 for 10.5.34.0/24. */
  readonly subnet: Prefix;
  /** Largest packet that containers may send. */
  readonly mtuBytes: number;
  /** Whether the agent masquerades, so that Docker must not. */
  readonly ipMasq: boolean;
}

/** Paths of the files for engines that the agent writes beside the subnet file; undefined: not this one. */
export interface HandOffOptions {
  /** Flags of dockerd. */
  readonly dockerOpts: string | undefined;
  /** A network of CNI. */
  readonly cniConf: string | undefined;
  /** The network of CNI for the pods of a node in Kubernetes. */
  readonly cniPods: string | undefined;
  /** A network of Podman, whose name is that of the file without .json. */
  readonly podmanNetwork: string | undefined;
}

/** Outlives the agent: at the next start it says which subnet was ours before. */
export interface HandOff {
  /** For messages. */
  readonly name: string;
  /** The subnet that was handed over last; undefined: none, or it cannot be read, since it is only a preference. */
  previousSubnet(): Promise<Prefix | undefined>;
  /**
   * Replaces the values unless they are the same. True: they were not. Fails as `host`; the old values then stay.
   */
  write(env: SubnetEnv): Promise<boolean>;
  /**
   * Takes back the files for which an engine waits, so that it starts no containers outside of this subnet; undefined:
   * none at all. Other values stay. Fails as `host`.
   */
  retract(subnet: Prefix | undefined): Promise<void>;
}

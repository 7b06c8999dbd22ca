// What the agent leaves for those who start containers, and the contract of where it is left.
import type { Prefix } from './ip.ts';

/** What they are told. */
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

/** Outlives the agent: at the next start it says which subnet was ours before. */
export interface HandOff {
  /** For messages. */
  readonly name: string;
  /** The subnet that was handed over last; undefined where there is none, or it cannot be read: it is a preference. */
  previousSubnet(): Promise<Prefix | undefined>;
  /**
   * Replaces what was handed over, unless it is the same. True: it was not. Fails as `host`; the old one then stays.
   */
  write(env: SubnetEnv): Promise<boolean>;
}

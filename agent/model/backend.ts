// The contract of a backend: it turns what is known into the host state that carries the traffic. Pure.
import type { JsonValue } from '../base/schema.ts';
import type { HostFacts } from './host-facts.ts';
import type { HostState } from './host-state.ts';
import type { Prefix } from './ip.ts';
import type { Lease } from './lease.ts';

/** Everything that a plan depends on. */
export interface PlanInput {
  readonly host: HostFacts;
  /** The whole overlay. */
  readonly network: Prefix;
  /** Our own lease's subnet. */
  readonly subnet: Prefix;
  /** Leases of the other nodes, whatever their backend. */
  readonly peers: readonly Lease[];
}

/** Made by `createX(options)`; its options are closed over. */
export interface Backend {
  /** The name in the network configuration and in leases. */
  readonly type: string;
  /** What peers must know of us; stored as `BackendData`. Undefined: nothing. */
  announce(host: HostFacts): JsonValue | undefined;
  /** MTU of the overlay on this host, in bytes: what containers may send. */
  mtuBytes(host: HostFacts): number;
  /**
   * The host state for these leases. Leases of another backend type, or whose data are not of this backend's
   * form, are left out.
   */
  plan(input: PlanInput): HostState;
}

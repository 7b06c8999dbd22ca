// The contract of a backend: it turns what is known into the host state that carries the traffic. Pure.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
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

/** What a data plane is run with. */
export interface DataPlaneDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** What moves packets in user space, where the kernel does not. It mends itself; disposing ends it. */
export interface DataPlane extends AsyncDisposable {
  /** What is true from now on; takes effect without a pause in the traffic of peers that stay. */
  update(input: PlanInput): void;
  /** Why packets do not move, one line; undefined: they do. */
  trouble(): string | undefined;
  /** Counters by name, ever growing while the agent runs; reading them costs the data plane nothing. */
  counters(): Readonly<Record<string, number>>;
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
  /**
   * Starts to move packets, once the host state stands; only where user space does. Fails as `host` when the device or
   * the port cannot be had.
   */
  openDataPlane?(input: PlanInput, deps: DataPlaneDeps): Promise<DataPlane>;
}

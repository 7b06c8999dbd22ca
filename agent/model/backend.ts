// The contract of a backend. A backend says two things: which objects this node's kernel needs by itself, and which
// objects lead to one peer. Who is a peer, conflicts between peers and memoisation are decided once for all backends,
// in `node/planner.ts`. All of it is pure but the data plane.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { JsonValue } from '../base/schema.ts';
import type { UnderlayEnd, UnderlayLink } from './host-facts.ts';
import type { HostObject } from './host-state.ts';
import type { NodeIdentity } from './lease.ts';
import type { Metric } from './metrics.ts';
import type { CarriedPlane, Peer, Plane } from './plane.ts';
import type { Tunnel } from './tunnel-filter.ts';

/** Made by `createX(options)`; its options are closed over. */
export interface Backend {
  /** The name in the network configuration and in leases. */
  readonly type: string;
  /** The port that packets travel to; undefined: they travel as they are. */
  readonly tunnel?: Tunnel;
  /** Facts that peers need about this node; stored as `BackendData`. Undefined: none. */
  announce(node: NodeIdentity, end: UnderlayEnd): JsonValue | undefined;
  /** MTU of the overlay over this link, in bytes: the largest packet that containers may send. */
  mtuBytes(underlay: UnderlayLink): number;
  /** The objects that this node has without any peer. */
  own(underlay: UnderlayLink, planes: readonly Plane[]): readonly HostObject[];
  /** The objects that lead to one peer; undefined: its announcement is not of this backend's form. */
  peer(plane: Plane, peer: Peer): readonly HostObject[] | undefined;
  /** Most peers that the data plane carries; undefined: as many as there are. */
  readonly maxPeers?: number;
  /**
   * Starts to move packets in user space; undefined: the kernel moves them. The kernel holds the host state already, or
   * holds that of the last run. Fails as `host` when the device or the port is not available.
   */
  openDataPlane?(input: DataPlaneInput, deps: DataPlaneDeps): Promise<DataPlane>;
}

/** The peers of one plane. */
export interface PlaneInput {
  readonly plane: CarriedPlane;
  readonly peers: readonly Peer[];
}

/** Everything that a data plane depends on. */
export interface DataPlaneInput {
  readonly planes: readonly PlaneInput[];
}

export interface DataPlaneDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** Moves packets in user space. It restarts its own parts when they fail; disposing ends it. */
export interface DataPlane extends AsyncDisposable {
  /** Replaces the input, without a pause in the traffic of peers that stay. */
  update(input: DataPlaneInput): void;
  /** The reason why packets do not move, in one line; undefined: they do. */
  trouble(): string | undefined;
  /** Counters, ever growing while the agent runs; reading them costs the data plane nothing. */
  metrics(): readonly Metric[];
}

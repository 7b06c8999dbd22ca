// Keeps the data plane of a backend that moves packets in user space: opens it, tells it of its peers, closes it, and
// records its input for the next run. One that was opened by such a record runs from the start:
//
//     resumed ── configuration: same backend, same network ──▶ want: given the real input, without a pause
//        └────── else, or the store says that our subnet is another node's ──▶ closed
//
// Nothing else ends it: as long as the store cannot be reached, it moves packets as a running agent would.
import { isDeepStrictEqual } from 'node:util';
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Backend, DataPlane } from '../model/backend.ts';
import type { Condition } from '../model/condition.ts';
import type { DataPlaneMemory, DataPlaneRecord } from '../model/data-plane-memory.ts';
import type { HostFacts } from '../model/host-facts.ts';
import { samePrefix } from '../model/ip.ts';
import { formatSubnetKey, type Lease } from '../model/lease.ts';
import type { Metric } from '../model/metrics.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import { ownership } from '../model/ownership.ts';
import type { Plane } from '../model/plane.ts';
import { LIMITS } from './limits.ts';
import type { Planner } from './planner.ts';

export interface DataPlaneKeeperDeps {
  readonly memory: DataPlaneMemory;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A data plane and the name of its backend. */
interface Running {
  readonly dataPlane: DataPlane;
  readonly type: string;
}

export class DataPlaneKeeper implements AsyncDisposable {
  readonly #deps: DataPlaneKeeperDeps;
  /** Rung when the memory has to be written. */
  readonly #bell;
  #running: Running | undefined;
  /** The record that the running data plane was opened by, until it is given the real input. */
  #resumed: DataPlaneRecord | undefined;
  /** The end of the data plane that was closed last: until then its device is busy. */
  #closed: Promise<void> = Promise.resolve();
  /** The planes that it was told of last; undefined: it does not know the present peers. */
  #told: readonly Plane[] | undefined;
  /** The record for the next run; undefined: the next run must have none. */
  #record: DataPlaneRecord | undefined;

  constructor(deps: DataPlaneKeeperDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    const { resumed } = deps.memory;
    if (resumed === undefined) return;
    this.#resumed = resumed;
    this.#running = { dataPlane: resumed.dataPlane, type: resumed.backend.type };
  }

  /** Whether there is a data plane now. */
  get isOpen(): boolean {
    return this.#running !== undefined;
  }

  /** Takes notice of the network: a data plane that was resumed for another one ends. */
  use(backend: Backend, config: NetworkConfig): void {
    if (backend.openDataPlane === undefined) void this.withdraw();
    const resumed = this.#resumed;
    if (resumed === undefined) return;
    const isSame =
      isDeepStrictEqual(resumed.backend, config.backend) &&
      resumed.input.planes.every(({ plane }) => samePrefix(plane.network, config.network));
    if (!isSame) this.#close();
  }

  /**
   * Takes notice of leases that came, changed or went. A resumed data plane ends if the lease of its subnet is another
   * node's; of a data plane with the real input the lease holder knows better. A lease of other subnets says nothing.
   */
  noticeLeases(leases: Iterable<Lease>, { node, ends }: HostFacts): void {
    this.#told = undefined;
    const planes = this.#resumed?.input.planes ?? [];
    if (planes.length === 0) return;
    const key = formatSubnetKey(
      Object.fromEntries(planes.map(({ plane: { family, subnet } }) => [family, subnet])),
    );
    const publicIP = ends.ipv4?.publicIP;
    const self = { node, publicIP: publicIP === undefined ? {} : { ipv4: publicIP } };
    for (const lease of leases) {
      if (formatSubnetKey(lease.subnets) !== key) continue;
      const relation = ownership(lease, self);
      // A clone of this machine is alive more often than this machine comes back on another interface.
      if (relation !== undefined && relation !== 'clone') continue;
      this.#deps.log.warn("the subnet of the last run is another node's: its packets are not moved any more");
      void this.withdraw();
      return;
    }
  }

  /** Lets packets move on the planes, to their peers. Fails as `Backend.openDataPlane` does. */
  async want(
    backend: Backend,
    config: NetworkConfig,
    planner: Pick<Planner, 'planes' | 'peers'>,
  ): Promise<void> {
    const { clock, log } = this.#deps;
    const { planes } = planner;
    if (backend.openDataPlane === undefined || planes === this.#told) return;
    const input = { planes: planes.map((plane) => ({ plane, peers: planner.peers(plane) })) };
    this.#told = planes;
    this.#resumed = undefined;
    try {
      await this.#closed;
      if (this.#running !== undefined) this.#running.dataPlane.update(input);
      else {
        const dataPlane = await backend.openDataPlane(input, { clock, log: log.for(backend.type) });
        this.#running = { dataPlane, type: backend.type };
      }
    } catch (error) {
      this.#told = undefined;
      throw error;
    }
    this.#record = { backend: config.backend, input };
    this.#bell.ring();
  }

  /** Stops to move packets, and lets the next run not begin with them. */
  async withdraw(): Promise<void> {
    this.#close();
    this.#record = undefined;
    this.#bell.ring();
    await this.#closed;
  }

  conditions(): readonly Condition[] {
    const reason = this.#running?.dataPlane.trouble();
    return reason === undefined ? [] : [{ part: 'data plane', state: 'failing', reason }];
  }

  metrics(): readonly Metric[] {
    const running = this.#running;
    return running === undefined ? [] : running.dataPlane.metrics();
  }

  /** Keeps the record for the next run up to date until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { memory, clock, log } = this.#deps;
    for (let isFailing = false; ; ) {
      await this.#bell.wait(signal, this.#record && LIMITS.recordAgainMs);
      try {
        await memory.write(this.#record);
        isFailing = false;
      } catch (error) {
        // The next restart takes longer, and that is all.
        if (!isFailing) log.warn(messageOf(error));
        isFailing = true;
        this.#bell.ring();
      }
      await clock.sleep(isFailing ? LIMITS.retryBackoff.maxMs : LIMITS.recordPauseMs, signal);
    }
  }

  /** Stops to move packets. The next run may begin with them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#closed;
  }

  #close(): void {
    const running = this.#running;
    this.#running = undefined;
    this.#resumed = undefined;
    this.#told = undefined;
    if (running === undefined) return;
    this.#closed = this.#closed.then(() => running.dataPlane[Symbol.asyncDispose]());
  }
}

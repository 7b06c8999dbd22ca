// Keeps the data plane of a backend that moves packets in user space: opens it, tells it of its peers, and closes it.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Backend, DataPlane } from '../model/backend.ts';
import type { Condition } from '../model/condition.ts';
import type { Lease } from '../model/lease.ts';
import type { Plane } from '../model/plane.ts';
import { dataPlaneMetrics, type Metric } from '../observe/metrics.ts';
import { peersIn } from './planner.ts';

export interface DataPlaneKeeperDeps {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly log: Logger;
}

export class DataPlaneKeeper implements AsyncDisposable {
  readonly #deps: DataPlaneKeeperDeps;
  #dataPlane: DataPlane | undefined;
  /** The planes of its last input; undefined: that input is out of date. */
  #told: readonly Plane[] | undefined;

  constructor(deps: DataPlaneKeeperDeps) {
    this.#deps = deps;
  }

  /** Whether a data plane is open. */
  get isOpen(): boolean {
    return this.#dataPlane !== undefined;
  }

  /** Takes notice of leases that came, changed or went. */
  noticePeers(): void {
    this.#told = undefined;
  }

  /** Lets packets move on these planes, to their peers among `leases`. Fails as `Backend.openDataPlane` does. */
  async want(planes: readonly Plane[], leases: Iterable<Lease>): Promise<void> {
    const { backend, clock, log } = this.#deps;
    if (backend.openDataPlane === undefined || planes === this.#told) return;
    const input = {
      planes: planes.map((plane) => ({ plane, peers: peersIn(plane, leases, backend.type) })),
    };
    this.#told = planes;
    if (this.#dataPlane !== undefined) return this.#dataPlane.update(input);
    try {
      this.#dataPlane = await backend.openDataPlane(input, { clock, log: log.for(backend.type) });
    } catch (error) {
      this.#told = undefined;
      throw error;
    }
  }

  conditions(): readonly Condition[] {
    const reason = this.#dataPlane?.trouble();
    return reason === undefined ? [] : [{ part: 'data plane', state: 'failing', reason }];
  }

  metrics(): readonly Metric[] {
    const counters = this.#dataPlane?.counters();
    return counters === undefined ? [] : dataPlaneMetrics(this.#deps.backend.type, counters);
  }

  /** Closes the data plane. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.#dataPlane;
    this.#dataPlane = undefined;
    this.#told = undefined;
    await closing?.[Symbol.asyncDispose]();
  }
}

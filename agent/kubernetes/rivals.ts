// The other Nodes that have this node's subnet, or a part of it: controllers have assigned one podCIDR twice. All nodes
// send its packets to the oldest of them (`node/contest.ts`).
import type { Condition } from '../model/condition.ts';
import { overlaps, type Prefix } from '../model/ip.ts';
import { byAge, type Lease } from '../model/lease.ts';
import type { KnownLeases } from '../model/lease-holder.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import type { NodeObject } from './node-object.ts';

export class Rivals {
  readonly #known: KnownLeases;
  readonly #leases = new Map<string, Lease>();
  #subnet: Prefix | undefined;

  constructor(known: KnownLeases) {
    this.#known = known;
  }

  /** Their names, the oldest first. */
  get names(): readonly string[] {
    return [...this.#leases.values()].toSorted(byAge).map(({ key }) => key);
  }

  /** Our subnet is this one from now on. */
  follow(subnet: Prefix | undefined): void {
    this.#subnet = subnet;
    this.#lookAtAll();
  }

  /** Takes in an event that is known already. True: a rival came, changed or went. */
  notice(event: StoreEvent): boolean {
    if (event.type === 'snapshot') return this.#lookAtAll();
    if (event.type === 'lease') return this.#lookAt(event.lease);
    return event.type === 'lease-removed' && this.#leases.delete(event.key);
  }

  /** The condition of the own Node: an older one has its podCIDR; undefined: none has. */
  conditionFor(own: NodeObject | undefined): Condition | undefined {
    const [oldest] = this.names;
    const lease = oldest === undefined ? undefined : this.#leases.get(oldest);
    if (own === undefined || lease === undefined) return undefined;
    if (byAge(lease, { created: own.createdMs, key: own.name }) > 0) return undefined;
    return {
      part: 'lease',
      state: 'failing',
      reason: `Node ${lease.key}, which is older, has our podCIDR too: other nodes send its packets there; delete Node ${own.name} and restart its kubelet to get another podCIDR`,
    };
  }

  #lookAtAll(): boolean {
    const before = this.#leases.size;
    this.#leases.clear();
    if (this.#subnet !== undefined) for (const lease of this.#known.leases) this.#lookAt(lease);
    return before > 0 || this.#leases.size > 0;
  }

  #lookAt(lease: Lease): boolean {
    const { ipv4 } = lease.subnets;
    const had = this.#leases.delete(lease.key);
    if (ipv4 === undefined || this.#subnet === undefined || !overlaps(ipv4, this.#subnet)) return had;
    this.#leases.set(lease.key, lease);
    return true;
  }
}

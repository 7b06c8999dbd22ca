// The news that one run of a node has received, kept apart from the node's own state: the leases, and the one granted
// to it. The laws judge the node by it.
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { formatSubnets, type Lease, type NodeIdentity, parseSubnetKey } from '../../agent/model/lease.ts';
import type { StoreEvent } from '../../agent/model/lease-source.ts';
import type { HeldLease } from '../../agent/model/lease-store.ts';
import type { Life } from './life.ts';

export class Witness {
  /** The lease that the store granted last. */
  granted: Lease | undefined;
  /** Since when the node has known that it has lost its lease. */
  lostAtMs: number | undefined;
  /** Whether the watch of all leases is open. */
  #watches = false;
  /** The number of requests about its lease that are on their way. */
  #requests = 0;
  readonly #life: Life;
  readonly #node: NodeIdentity;
  readonly #changedMs = new Map<string, number>();
  #leases = new Map<string, Lease>();

  constructor(life: Life, node: NodeIdentity) {
    this.#life = life;
    this.#node = node;
  }

  /** Milliseconds for which the node has known that no node has this subnet; undefined: it does not know so. */
  unleasedMs(subnet: string): number | undefined {
    return this.#leases.has(subnet) ? undefined : this.#sinceMs(subnet);
  }

  /** Milliseconds for which the node has known that another node has this subnet. */
  othersMs(subnet: string): number | undefined {
    const lease = this.#leases.get(subnet);
    return lease === undefined || this.#isOwn(lease) ? undefined : this.#sinceMs(subnet);
  }

  /** Milliseconds for which the node has known that it has lost its lease. */
  lostMs(): number | undefined {
    return this.lostAtMs === undefined ? undefined : this.#life.awakeMs(this.lostAtMs);
  }

  /** Whether the node holds this subnet, hears, and has no request about it on its way, which may take long. */
  isAttentive(subnet: string): boolean {
    const isHeld = this.granted !== undefined && textOf(this.granted) === subnet;
    return isHeld && this.lostAtMs === undefined && this.#watches && this.#requests === 0;
  }

  /** The store has lost its data: everything it says from now on is newer than before. */
  countAnew(): void {
    for (const [key, lease] of this.#leases) this.#leases.set(key, { ...lease, revision: 0 });
    if (this.granted !== undefined) this.granted = { ...this.granted, revision: 0 };
  }

  /** The same path to the store; records whether the watch of all leases is open. */
  onWay(kv: Kv): Kv {
    const setWatches = (watches: boolean): void => {
      this.#watches = watches;
    };
    return {
      ...kv,
      async *watch(ranges, ...rest) {
        // The node that asks watches one key.
        const isAll = typeof ranges !== 'string';
        try {
          for await (const batch of kv.watch(ranges, ...rest)) {
            if (isAll) setWatches(true);
            yield batch;
          }
        } finally {
          if (isAll) setWatches(false);
        }
      },
    };
  }

  /** The same store; records its answers and events. */
  over(store: KvLeaseStore): KvLeaseStore {
    const grant = (held: HeldLease | undefined): HeldLease | undefined => {
      if (held === undefined) return held;
      this.granted = held.lease;
      this.lostAtMs = undefined;
      // A watch event meanwhile may be newer.
      const key = textOf(held.lease);
      const known = this.#leases.get(key);
      if (known === undefined || known.revision <= held.lease.revision) this.#leases.set(key, held.lease);
      else if (!this.#isOwn(known)) this.lostAtMs = this.#nowMs();
      return held;
    };
    const hear = (event: StoreEvent): void => this.#hear(event);
    const count = <T>(request: Promise<T>): Promise<T> => {
      this.#requests += 1;
      return request.finally(() => {
        this.#requests -= 1;
      });
    };
    return {
      ...store,
      claim: async (...args) => grant(await store.claim(...args)),
      adopt: async (...args) => grant(await store.adopt(...args)),
      repair: async (...args) => grant(await count(store.repair(...args))),
      renew: async (...args) => {
        const held = await count(store.renew(...args));
        if (held === undefined) this.lostAtMs ??= this.#nowMs();
        return held;
      },
      async *watch(signal) {
        for await (const event of store.watch(signal)) {
          hear(event);
          yield event;
        }
      },
    };
  }

  #hear(event: StoreEvent): void {
    switch (event.type) {
      case 'snapshot': {
        const before = this.#leases;
        this.#leases = new Map(event.leases.map((lease) => [textOf(lease), lease]));
        for (const entry of event.malformed) {
          const known = before.get(textOf(entry));
          if (known !== undefined) this.#leases.set(textOf(known), known);
        }
        // One listing proves nothing: a node may keep a missing lease until another listing agrees. The check of the
        // converged cluster shows whether the lease goes in the end.
        const isListed = (key: string): boolean =>
          [...event.leases, ...event.malformed].some((entry) => textOf(entry) === key);
        for (const [key, lease] of before) if (!this.#leases.has(key)) this.#leases.set(key, lease);
        for (const key of this.#leases.keys()) {
          const [old, lease] = [before.get(key), this.#leases.get(key)];
          if (old === undefined || lease === undefined || this.#isOwn(old) !== this.#isOwn(lease))
            this.#changedMs.set(key, this.#nowMs());
        }
        const ownKey = this.granted === undefined ? '' : textOf(this.granted);
        const own = isListed(ownKey) ? this.#leases.get(ownKey) : undefined;
        if (own === undefined ? event.revision > this.#grantedRevision : !this.#isOwn(own))
          this.#lose(this.granted?.key, own?.revision ?? event.revision);
        break;
      }
      case 'lease': {
        const key = textOf(event.lease);
        const old = this.#leases.get(key);
        if (old === undefined || this.#isOwn(old) !== this.#isOwn(event.lease))
          this.#changedMs.set(key, this.#nowMs());
        this.#leases.set(key, event.lease);
        if (!this.#isOwn(event.lease)) this.#lose(event.lease.key, event.lease.revision);
        break;
      }
      case 'lease-removed': {
        const key = textOf(event);
        if (this.#leases.delete(key)) this.#changedMs.set(key, this.#nowMs());
        this.#lose(event.key, event.revision);
        break;
      }
      default:
    }
  }

  get #grantedRevision(): number {
    return this.granted?.revision ?? Number.POSITIVE_INFINITY;
  }

  #lose(key: string | undefined, revision: number): void {
    if (key === undefined || this.granted?.key !== key) return;
    if (revision > this.#grantedRevision) this.lostAtMs ??= this.#nowMs();
  }

  #isOwn({ attrs }: Lease): boolean {
    return attrs.node?.id === this.#node.id;
  }

  #nowMs(): number {
    return this.#life.realMs();
  }

  #sinceMs(subnet: string): number {
    return this.#life.awakeMs(this.#changedMs.get(subnet) ?? 0);
  }
}

// The laws write subnets as routes do: 10.5.34.0/24.
function textOf({ key }: { readonly key: string | undefined }): string {
  return formatSubnets((key === undefined ? undefined : parseSubnetKey(key)) ?? {});
}

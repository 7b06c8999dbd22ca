// The news that one run of a node has received, kept apart from the node's own state: the leases, and the one granted
// to it. The laws judge the node by it.
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import type { Kv } from '../../agent/model/kv.ts';
import { formatSubnets, type Lease, parseSubnetKey } from '../../agent/model/lease.ts';
import type { StoreEvent } from '../../agent/model/lease-source.ts';
import type { HeldLease } from '../../agent/model/lease-store.ts';
import type { Host } from './host.ts';
import type { Life } from './life.ts';

export class Witness {
  /** The lease that the store granted last. */
  granted: Lease | undefined;
  #grantedAtMs = 0;
  #grantedSubnet: string | undefined;
  /** Since when the node has known that it has lost its lease. */
  lostAtMs: number | undefined;
  /** Whether the watch of all leases is open. */
  watches = false;
  readonly #held = new Set<string>();
  readonly #life: Life;
  readonly #host: Host;
  readonly #onSwitch: (from: string, to: string) => void;
  readonly #changedMs = new Map<string, number>();
  /** When the last lease of an IPv4 subnet went. */
  readonly #goneMs = new Map<string, number>();
  #leases = new Map<string, Lease>();

  /** `onSwitch`: called when the node gets another subnet without having lost the one before. */
  constructor(life: Life, host: Host, onSwitch: (from: string, to: string) => void) {
    this.#life = life;
    this.#host = host;
    this.#onSwitch = onSwitch;
  }

  /** Milliseconds for which the node has known that no node has this subnet; undefined: it does not know so. */
  unleasedMs(subnet: string): number | undefined {
    if (this.#leases.has(subnet)) return undefined;
    // A lease of both families has this subnet, too.
    for (const text of this.#leases.keys()) if (text.startsWith(`${subnet}, `)) return undefined;
    return this.#life.awakeMs(this.#goneMs.get(subnet) ?? 0);
  }

  /** Milliseconds for which the node has known that another node has this subnet. */
  othersMs(subnet: string): number | undefined {
    const lease = this.#leases.get(subnet);
    return lease === undefined || this.#isOwn(lease) ? undefined : this.#sinceMs(subnet);
  }

  /** Milliseconds for which the node has known of a lease of its own. */
  ownMs(subnet: string): number | undefined {
    const lease = this.#leases.get(subnet);
    return lease !== undefined && this.#isOwn(lease) ? this.#sinceMs(subnet) : undefined;
  }

  /** Milliseconds for which the node has known that it has lost its lease. */
  lostMs(): number | undefined {
    return this.lostAtMs === undefined ? undefined : this.#life.awakeMs(this.lostAtMs);
  }

  /** Milliseconds for which the node has held this subnet by all that it has heard; undefined: it does not. */
  heldMs(subnet: string): number | undefined {
    return this.#grantedSubnet === subnet && this.lostAtMs === undefined
      ? this.#nowMs() - this.#grantedAtMs
      : undefined;
  }

  /** Whether the store ever granted this subnet to the node. */
  hasHeld(subnet: string): boolean {
    return this.#held.has(subnet);
  }

  /** The store has lost its data: everything it says from now on is newer than before. */
  countAnew(): void {
    for (const [key, lease] of this.#leases) this.#leases.set(key, { ...lease, revision: 0 });
    if (this.granted !== undefined) this.granted = { ...this.granted, revision: 0 };
  }

  /** The same path to the store; records whether the watch of all leases is open. */
  onWay(kv: Kv): Kv {
    const setWatches = (watches: boolean): void => {
      this.watches = watches;
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
      if (this.granted?.key !== held.lease.key || this.lostAtMs !== undefined) {
        if (this.lostAtMs === undefined && this.granted !== undefined)
          this.#onSwitch(textOf(this.granted), textOf(held.lease));
        this.#grantedAtMs = this.#nowMs();
      }
      this.granted = held.lease;
      this.#grantedSubnet = textOf(held.lease);
      this.#held.add(this.#grantedSubnet);
      this.lostAtMs = undefined;
      // A watch event meanwhile may be newer.
      const key = textOf(held.lease);
      const known = this.#leases.get(key);
      if (known === undefined || !this.#isOwn(known)) this.#changedMs.set(key, this.#nowMs());
      if (known === undefined || known.revision <= held.lease.revision) this.#leases.set(key, held.lease);
      else if (!this.#isOwn(known)) this.lostAtMs = this.#nowMs();
      return held;
    };
    const lose = (held: HeldLease | undefined): HeldLease | undefined => {
      if (held === undefined) this.lostAtMs ??= this.#nowMs();
      return held;
    };
    const hear = (event: StoreEvent): void => this.#hear(event);
    return {
      ...store,
      claim: async (...args) => grant(await store.claim(...args)),
      adopt: async (...args) => grant(await store.adopt(...args)),
      repair: async (...args) => grant(lose(await store.repair(...args))),
      renew: async (...args) => lose(await store.renew(...args)),
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
        if (this.#leases.delete(key)) {
          this.#changedMs.set(key, this.#nowMs());
          this.#goneMs.set(key.replace(/, .*/, ''), this.#nowMs());
        }
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
    return this.#host.machine.isWriter(attrs.node);
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

// Keeps this node's wanted host state in step with the leases. Each lease costs its own entries: the planner asks the
// backend for the objects of that lease, keeps them, and tells only of the keys that changed.
//
//     planes ──▶ backend.own ────────────┐
//     lease ──▶ peer? ──▶ backend.peer ──┴─▶ one object a key ──▶ changes since the last `drain`
//
// Decided here for all backends: who is a peer, and who wins a key that two leases name.
import type { Backend } from '../model/backend.ts';
import type { UnderlayLink } from '../model/host-facts.ts';
import {
  formatObject,
  type HostObject,
  type HostState,
  type HostStateChanges,
  keyOf,
  type ObjectChange,
} from '../model/host-state.ts';
import { containsPrefix, formatPrefix, overlaps } from '../model/ip.ts';
import type { Lease } from '../model/lease.ts';
import type { Peer, Plane } from '../model/plane.ts';

export interface PlannerOptions {
  readonly backend: Backend;
  /** Drop packets to addresses of our own subnet that no container has. */
  readonly blackholeRoute: boolean;
}

export interface Planner {
  /** Plans everything anew: for other planes, or for a listing of all leases. No planes: nothing is wanted. */
  reset(underlay: UnderlayLink, planes: readonly Plane[], leases: Iterable<Lease>): void;
  /** Plans one lease anew: it was written (`lease`), or is gone (undefined). */
  update(key: string, lease: Lease | undefined): void;
  /** The changes since the last call, by key. */
  drain(): HostStateChanges;
  /** Everything that is wanted now. */
  state(): HostState;
  /** Leases of nodes that use another backend. */
  readonly strangers: number;
}

export function createPlanner({ backend, blackholeRoute }: PlannerOptions): Planner {
  let planes: readonly Plane[] = [];
  const wanted = new Map<string, HostObject>();
  /** The objects of each peer's lease, also those that another lease has won. */
  const entries = new Map<string, readonly HostObject[]>();
  /** The lease that has won each key. */
  const owners = new Map<string, Lease>();
  /** The leases that name a key which more than one of them names. Two may name one MAC, for instance. */
  const rivals = new Map<string, Map<string, Lease>>();
  const strangers = new Set<string>();
  let changes = new Map<string, ObjectChange>();

  const set = (key: string, after: HostObject | undefined): void => {
    const now = wanted.get(key);
    if (now === after) return;
    if (now !== undefined && after !== undefined && formatObject(now) === formatObject(after)) return;
    const before = changes.has(key) ? changes.get(key)?.before : now;
    if (after === undefined) wanted.delete(key);
    else wanted.set(key, after);
    changes.set(key, { before, after });
  };

  const objectsOf = (lease: Lease): readonly HostObject[] =>
    planes.flatMap((plane) => {
      const peer = peerIn(plane, lease, backend.type);
      return peer === undefined ? [] : backend.peer(plane, peer);
    });

  const claim = (key: string, object: HostObject, lease: Lease): void => {
    const owner = owners.get(key);
    if (owner !== undefined && owner.key !== lease.key) {
      const all = rivals.get(key) ?? new Map([[owner.key, owner]]);
      rivals.set(key, all.set(lease.key, lease));
      if (owner.revision > lease.revision) return;
    } else rivals.get(key)?.set(lease.key, lease);
    owners.set(key, lease);
    set(key, object);
  };

  const release = (key: string, lease: string): void => {
    const others = rivals.get(key);
    others?.delete(lease);
    if (owners.get(key)?.key !== lease) return;
    // The newest of those that are left.
    const heir = [...(others?.values() ?? [])].toSorted((a, b) => b.revision - a.revision)[0];
    if (heir === undefined) owners.delete(key);
    else owners.set(key, heir);
    if ((others?.size ?? 0) <= 1) rivals.delete(key);
    set(key, heir && entries.get(heir.key)?.find((object) => keyOf(object) === key));
  };

  const update = (leaseKey: string, lease: Lease | undefined): void => {
    if (lease !== undefined && lease.attrs.backendType !== backend.type) strangers.add(leaseKey);
    else strangers.delete(leaseKey);
    const before = entries.get(leaseKey) ?? [];
    const after = lease === undefined ? [] : objectsOf(lease);
    if (after.length === 0) entries.delete(leaseKey);
    else entries.set(leaseKey, after);
    const keys = new Set<string>();
    if (lease !== undefined) {
      for (const object of after) {
        const key = keyOf(object);
        keys.add(key);
        claim(key, object, lease);
      }
    }
    for (const object of before) {
      const key = keyOf(object);
      if (!keys.has(key)) release(key, leaseKey);
    }
  };

  return {
    reset(underlay, nextPlanes, leases) {
      planes = nextPlanes;
      for (const map of [entries, owners, rivals, strangers]) map.clear();
      const left = new Set(wanted.keys());
      const own = planes.length === 0 ? [] : backend.own(underlay, planes);
      for (const object of [...own, ...(blackholeRoute ? planes.map(blackholeOf) : [])]) {
        set(keyOf(object), object);
        left.delete(keyOf(object));
      }
      for (const lease of leases) update(lease.key, lease);
      for (const key of left) if (!owners.has(key)) set(key, undefined);
    },
    update,
    drain() {
      const drained = changes;
      changes = new Map();
      return drained;
    },
    state: () => [...wanted.values()],
    get strangers() {
      return strangers.size;
    },
  };
}

/** The peers of a plane. */
export function peersIn(plane: Plane, leases: Iterable<Lease>, type: string): Peer[] {
  const peers: Peer[] = [];
  for (const lease of leases) {
    const peer = peerIn(plane, lease, type);
    if (peer !== undefined) peers.push(peer);
  }
  return peers;
}

// Others write leases, and are not trusted with more than their part of the overlay: a lease outside the network, over
// our own subnet, or at our own address leads no traffic away from this node.
function peerIn({ family, network, subnet: own, end }: Plane, lease: Lease, type: string): Peer | undefined {
  const { backendType, publicIP, backendData } = lease.attrs;
  const [subnet, address] = [lease.subnets[family], publicIP[family]];
  if (backendType !== type || subnet === undefined || address === undefined) return undefined;
  if (address === end.publicIP || !containsPrefix(network, subnet) || overlaps(subnet, own)) return undefined;
  return { subnet, publicIP: address, data: backendData[family] };
}

function blackholeOf({ subnet }: Plane): HostObject {
  const dst = formatPrefix(subnet);
  return { kind: 'route', type: 'blackhole', dst, via: undefined, dev: undefined, onlink: false };
}

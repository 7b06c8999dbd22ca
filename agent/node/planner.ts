// Keeps this node's wanted host state in step with the leases. Each lease costs its own entries: the planner asks the
// backend for the objects of that lease, keeps them, and tells only of the keys that changed.
//
//     host, subnets ──▶ planes ──▶ backend.own ──┐
//     lease ──▶ peer of a plane? ▶ backend.peer ─┴─▶ one object a key ──▶ changes since the last `plan`
//
// Decided here for all backends: who is a peer, and who wins a key that two leases name. A lease over addresses that
// this host needs itself is no peer's, and a condition says so.
import type { Backend } from '../model/backend.ts';
import type { PeerCondition, PeerName } from '../model/condition.ts';
import type { HostFacts } from '../model/host-facts.ts';
import {
  formatObject,
  type HostObject,
  type HostState,
  type HostStateChanges,
  keyOf,
  type ObjectChange,
} from '../model/host-state.ts';
import { formatPrefix, type PerFamily, type Prefix } from '../model/ip.ts';
import { formatSubnets, type Lease } from '../model/lease.ts';
import { admitsPeer, conflictOf, type Peer, type Plane, planesOf } from '../model/plane.ts';

export interface PlannerOptions {
  readonly backend: Backend;
  /** The whole overlay. */
  readonly networks: PerFamily<Prefix>;
  /** Drop packets to addresses of our own subnet that no container has. */
  readonly blackholeRoute: boolean;
  /** Addresses of the datastore: no traffic to them is led into the overlay. Default: none is known. */
  readonly datastore?: readonly string[];
}

export interface Planner {
  /** Takes in one lease: it was written (`lease`), or is gone (undefined). */
  update(key: string, lease: Lease | undefined): void;
  /** Takes in that any lease may have come, changed or gone. */
  invalidate(): void;
  /**
   * The changes since the last call, by key. Costs the updated leases alone, unless the host or the subnets are others,
   * or the leases were invalidated; then all of `leases` are planned anew. Subnets undefined: nothing is wanted.
   */
  plan(host: HostFacts, subnets: PerFamily<Prefix> | undefined, leases: Iterable<Lease>): HostStateChanges;
  /** The planes of the last call; the same array for as long as they are the same. */
  readonly planes: readonly Plane[];
  /** Everything that is wanted since the last call. */
  state(): HostState;
  /** Leases of nodes that use another backend. */
  readonly strangers: number;
  /** The nodes of this backend that are left out; the same array until a lease changes. */
  conditions(): readonly PeerCondition[];
  /** The peer that the object of this key leads to; undefined: none. */
  peerOf(key: string): PeerName | undefined;
}

export function createPlanner({
  backend,
  networks,
  blackholeRoute,
  datastore = [],
}: PlannerOptions): Planner {
  let planes: readonly Plane[] = [];
  /** The input of the last plan; undefined: it was invalidated. */
  let plannedFor: readonly [HostFacts, PerFamily<Prefix> | undefined] | undefined;
  const wanted = new Map<string, HostObject>();
  /** The objects of each peer's lease, also those whose key another lease has won. */
  const entries = new Map<string, readonly HostObject[]>();
  /** The lease that has won each key. */
  const owners = new Map<string, Lease>();
  /** The leases that name a key which more than one of them names. Two may name one MAC, for instance. */
  const rivals = new Map<string, Map<string, Lease>>();
  const strangers = new Set<string>();
  /** The leases of this backend that are left out, with the reason. */
  const conflicts = new Map<string, PeerCondition>();
  let conditions: readonly PeerCondition[] | undefined;
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
      const conflict = peer && conflictOf(plane, peer.subnet, datastore);
      if (conflict === undefined) return peer === undefined ? [] : backend.peer(plane, peer);
      const reason = `${conflict}: no route leads there`;
      conflicts.set(lease.key, { part: 'network', state: 'failing', reason, peer: nameOf(lease) });
      return [];
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
    if (conflicts.delete(leaseKey) || lease !== undefined) conditions = undefined;
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

  const planAll = (host: HostFacts, leases: Iterable<Lease>): void => {
    for (const map of [entries, owners, rivals, strangers, conflicts]) map.clear();
    conditions = undefined;
    const left = new Set(wanted.keys());
    const own = planes.length === 0 ? [] : backend.own(host.underlay, planes);
    for (const object of [...own, ...(blackholeRoute ? planes.map(blackholeOf) : [])]) {
      set(keyOf(object), object);
      left.delete(keyOf(object));
    }
    for (const lease of leases) update(lease.key, lease);
    for (const key of left) if (!owners.has(key)) set(key, undefined);
  };

  return {
    update,
    invalidate() {
      plannedFor = undefined;
    },
    plan(host, subnets, leases) {
      if (plannedFor?.[0] !== host || plannedFor[1] !== subnets) {
        plannedFor = [host, subnets];
        planes = subnets === undefined ? [] : planesOf(host, networks, subnets);
        planAll(host, leases);
      }
      const drained = changes;
      changes = new Map();
      return drained;
    },
    get planes() {
      return planes;
    },
    state: () => [...wanted.values()],
    get strangers() {
      return strangers.size;
    },
    conditions: () => (conditions ??= [...conflicts.values()]),
    peerOf(key) {
      const owner = owners.get(key);
      return owner && nameOf(owner);
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

function nameOf({ subnets, attrs }: Lease): PeerName {
  const publicIP = Object.values(attrs.publicIP).join(', ');
  return { subnet: formatSubnets(subnets), publicIP, name: attrs.node?.name };
}

function peerIn(plane: Plane, lease: Lease, type: string): Peer | undefined {
  const { backendType, publicIP, backendData } = lease.attrs;
  const [subnet, address] = [lease.subnets[plane.family], publicIP[plane.family]];
  if (backendType !== type || subnet === undefined || address === undefined) return undefined;
  const peer: Peer = { subnet, publicIP: address, data: backendData[plane.family] };
  return admitsPeer(plane, peer) ? peer : undefined;
}

function blackholeOf({ subnet }: Plane): HostObject {
  const dst = formatPrefix(subnet);
  return { kind: 'route', type: 'blackhole', dst, via: undefined, dev: undefined, onlink: false };
}

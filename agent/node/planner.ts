// Keeps this node's wanted host state in step with the leases. Each lease costs its own entries: the planner asks the
// backend for the objects of that lease, keeps them, and tells only of the keys that changed.
//
//     host, subnets ──▶ planes ──▶ backend.own ─────────────────────────────┐
//     lease ──▶ peer of a plane? ──▶ backend.peer ──▶ claims ──▶ contest ───┴─▶ changes since the last `plan`
//
// Decided here for all backends: who is a peer. A lease is left out wholly, with one reason, where it can be nobody's
// (`model/trust.ts`), where it takes what this host needs, or where another lease has what it claims (`contest.ts`).
// Our own lease, others at our address and those of another backend are no peers, and no fault.
import type { Backend } from '../model/backend.ts';
import type { PeerCondition, PeerName } from '../model/condition.ts';
import type { HostFacts } from '../model/host-facts.ts';
import {
  arrivalLinkOf,
  formatObject,
  type HostObject,
  type HostState,
  type HostStateChanges,
  keyOf,
  type ObjectChange,
} from '../model/host-state.ts';
import { type Family, formatPrefix, type PerFamily, type Prefix } from '../model/ip.ts';
import { byAge, formatSubnetKey, formatSubnets, type Lease, leaseName } from '../model/lease.ts';
import { conflictOf, type Overlay, type Peer, type Plane, planesOf } from '../model/plane.ts';
import { intrusionOf, misfitOf } from '../model/trust.ts';
import { claimsOfHost, claimsOfPeer, isPublicAddress, PART } from './claims.ts';
import { type Claim, claimOf, createContest, type Defeat } from './contest.ts';
import { PublicAddresses } from './public-addresses.ts';

export interface PlannerOptions {
  readonly backend: Backend;
  readonly overlays: PerFamily<Overlay>;
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
  /**
   * Names of the links that packets of peers come in by: our own, and those that our routes lead to. In order; the same
   * array until one comes or goes.
   */
  readonly links: readonly string[];
  /** The public addresses of the peers that are not left out. */
  readonly publicAddresses: PublicAddresses;
  /** The peers of a plane that are not left out. */
  peers(plane: Plane): readonly Peer[];
  /** Leases of nodes that use another backend. */
  readonly strangers: number;
  /** The nodes of this backend that are left out; the same array until a lease changes. */
  conditions(): readonly PeerCondition[];
  /** The peer that the object of this key leads to; undefined: none. */
  peerOf(key: string): PeerName | undefined;
}

export function createPlanner({
  backend,
  overlays,
  blackholeRoute,
  datastore = [],
}: PlannerOptions): Planner {
  let planes: readonly Plane[] = [];
  let ownKey: string | undefined;
  /** The input of the last plan; undefined: it was invalidated. */
  let plannedFor: readonly [HostFacts, PerFamily<Prefix> | undefined] | undefined;
  /** The lengths of all subnets of this run. Another one changes the claims of all leases. */
  const lengths = { ipv4: new Set<number>(), ipv6: new Set<number>() };
  /** False: a lease with a new length has come, and waits until all are planned anew. */
  let knowsLengths = true;
  const wanted = new Map<string, HostObject>();
  const strangers = new Set<string>();
  /** The leases of this backend that are no peer's by themselves, with the reason. */
  const faults = new Map<string, readonly [Lease, string]>();
  let conditions: readonly PeerCondition[] | undefined;
  let changes = new Map<string, ObjectChange>();
  /** How many of the wanted objects are each link, or lead there. */
  const users = new Map<string, number>();
  /** Their names in order; undefined: some came or went. */
  let links: readonly string[] | undefined;

  const count = (object: HostObject | undefined, change: 1 | -1): void => {
    const link = object && arrivalLinkOf(object);
    if (link === undefined) return;
    const next = (users.get(link) ?? 0) + change;
    if (next === 0 || !users.has(link)) links = undefined;
    if (next === 0) users.delete(link);
    else users.set(link, next);
  };

  const set = (key: string, after: HostObject | undefined): void => {
    const now = wanted.get(key);
    if (isSame(now, after)) return;
    const change = changes.get(key);
    const before = change === undefined ? now : change.before;
    // An object that goes and comes back is the same value, so that it costs nothing to compare.
    const isBack = isSame(before, after);
    const next = isBack ? before : after;
    if (next === undefined) wanted.delete(key);
    else wanted.set(key, next);
    count(now, -1);
    count(next, 1);
    if (isBack) changes.delete(key);
    else changes.set(key, { before, after });
  };

  const publicAddresses = new PublicAddresses();
  const contest = createContest({
    room: backend.maxPeers ?? Number.POSITIVE_INFINITY,
    onThing: (thing, now, before) => {
      if (isPublicAddress(now)) publicAddresses.add(now);
      if (isPublicAddress(before)) publicAddresses.remove(before);
      if (typeof now !== 'string') set(thing, now);
    },
  });

  /** The claims of a lease in one plane, or the reason why it is no peer's there. */
  const claimsIn = (plane: Plane, lease: Lease): readonly Claim[] | string => {
    const overlay = overlays[plane.family];
    const peer = peerIn(plane, lease);
    if (peer === undefined || overlay === undefined) return [];
    // At our address, or with our key, which may still have our former address.
    if (peer.publicIP === plane.end.publicIP || lease.key === ownKey) return [];
    const fault =
      misfitOf(overlay, peer) ?? intrusionOf(plane, peer) ?? conflictOf(plane, peer.subnet, datastore);
    if (fault !== undefined) return fault;
    const objects = backend.peer(plane, peer);
    return objects === undefined
      ? `its announcement is not one of ${backend.type}`
      : claimsOfPeer(overlay, peer, objects, lengths);
  };

  const update = (key: string, lease: Lease | undefined): void => {
    // Without planes there are no peers. Those of the last planes are remembered, and all are planned with the next.
    if (planes.length === 0) return;
    conditions = undefined;
    strangers.delete(key);
    faults.delete(key);
    if (lease === undefined || lease.attrs.backendType !== backend.type) {
      if (lease !== undefined) strangers.add(key);
      contest.update(key, lease && { lease, claims: [] });
      return;
    }
    const found = planes.map((plane) => claimsIn(plane, lease));
    const fault = found.find((each) => typeof each === 'string');
    if (fault !== undefined) faults.set(key, [lease, fault]);
    const claims = found.flatMap((each) => (typeof each === 'string' ? [] : each));
    if (fault === undefined && claims.length > 0 && learn(lengths, Object.values(lease.subnets))) {
      knowsLengths = false;
      return;
    }
    contest.update(key, { lease, claims: fault === undefined ? claims : [] });
  };

  const planAll = (host: HostFacts, leases: Iterable<Lease>): void => {
    conditions = undefined;
    const left = new Set(wanted.keys());
    const own = planes.length === 0 ? [] : backend.own(host.underlay, planes);
    for (const object of [...own, ...(blackholeRoute ? planes.map(blackholeOf) : [])]) {
      set(keyOf(object), object);
      left.delete(keyOf(object));
    }
    if (planes.length > 0) {
      learn(
        lengths,
        planes.map(({ subnet }) => subnet),
      );
      const sorted = [...leases].sort(byAge);
      const there = new Set(sorted.map(({ key }) => key));
      for (const key of [...contest.keys(), ...strangers, ...faults.keys()])
        if (!there.has(key)) update(key, undefined);
      do {
        knowsLengths = true;
        contest.own(claimsOfHost(planes, overlays, own, lengths));
        for (const lease of sorted) update(lease.key, lease);
      } while (!knowsLengths);
    }
    for (const key of left) if (planes.length === 0 || contest.holder(key) === undefined) set(key, undefined);
  };

  return {
    update,
    invalidate() {
      plannedFor = undefined;
    },
    plan(host, subnets, leases) {
      if (plannedFor?.[0] !== host || plannedFor[1] !== subnets || !knowsLengths) {
        plannedFor = [host, subnets];
        ownKey = subnets && formatSubnetKey(subnets);
        planes = subnets === undefined ? [] : planesOf(host, overlays, subnets);
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
    get links() {
      links ??= [...users.keys()].sort();
      return links;
    },
    publicAddresses,
    peers: (plane) => [...contest.admitted()].flatMap((lease) => peerIn(plane, lease) ?? []),
    get strangers() {
      return strangers.size;
    },
    conditions() {
      if (planes.length === 0) return NO_CONDITIONS;
      conditions ??= [
        ...[...faults.values()].map(([lease, fault]) => conditionOf(lease, fault)),
        ...[...contest.defeats()].map(([lease, defeat]) => conditionOf(lease, explain(lease, defeat))),
      ];
      return conditions;
    },
    peerOf(key) {
      const owner = contest.holder(key);
      return owner && nameOf(owner);
    },
  };
}

const NO_CONDITIONS: readonly PeerCondition[] = [];

/** Adds the lengths of subnets. True: there are new ones. A run has few, so none is forgotten. */
function learn(lengths: Readonly<Record<Family, Set<number>>>, subnets: readonly Prefix[]): boolean {
  const fresh = subnets.filter(({ family, length }) => !lengths[family].has(length));
  for (const { family, length } of fresh) lengths[family].add(length);
  return fresh.length > 0;
}

function isSame(a: HostObject | undefined, b: HostObject | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && formatObject(a) === formatObject(b));
}

function conditionOf(lease: Lease, fault: string): PeerCondition {
  return {
    part: 'network',
    state: 'failing',
    reason: `${fault}: no route leads there`,
    peer: nameOf(lease),
  };
}

function explain(lease: Lease, defeat: Defeat): string {
  if (defeat.kind === 'full') return 'there are more peers than this backend carries';
  const { claim, by } = defeat;
  const owner = by === undefined ? 'this node' : `the lease ${by.lease.key}`;
  if (claim.meaning === PART) return `its ${partOf(claim, lease)} is in the ${claim.thing} of ${owner}`;
  const other = by === undefined ? undefined : claimOf(by, claim.thing);
  if (by !== undefined && other?.meaning === PART)
    return `the ${partOf(other, by.lease)} of ${owner} is in the ${claim.thing}`;
  return `${owner} has ${claim.thing} already`;
}

function partOf({ isKeyed = false }: Claim, { subnets }: Lease): string {
  return isKeyed ? `subnet ${formatSubnets(subnets)}` : 'public address';
}

function nameOf(lease: Lease): PeerName {
  const { subnets, attrs } = lease;
  const publicIP = Object.values(attrs.publicIP).join(', ');
  return { subnet: formatSubnets(subnets), publicIP, name: leaseName(lease) };
}

function peerIn({ family }: Plane, { subnets, attrs }: Lease): Peer | undefined {
  const [subnet, publicIP] = [subnets[family], attrs.publicIP[family]];
  if (subnet === undefined || publicIP === undefined) return undefined;
  return { subnet, publicIP, data: attrs.backendData[family] };
}

function blackholeOf({ subnet }: Plane): HostObject {
  const dst = formatPrefix(subnet);
  return { kind: 'route', type: 'blackhole', dst, via: undefined, dev: undefined, onlink: false };
}

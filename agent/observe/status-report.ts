// Turns a node's state into the report that people and programs are given. Pure.
import type { Clock } from '../base/clock.ts';
import type { Condition, PeerCondition } from '../model/condition.ts';
import { formatPrefix } from '../model/ip.ts';
import { formatSubnetKey, formatSubnets, type Lease, leaseName } from '../model/lease.ts';
import type { NodeState } from '../model/status.ts';
import {
  PEER_STATES,
  type PeerCounts,
  type PeerReport,
  type PeerState,
  STATUS_SCHEMA,
  type StatusReport,
} from '../model/status-report.ts';
import { LIMITS } from './limits.ts';

export interface StatusInput {
  readonly state: NodeState;
  readonly version: string;
  readonly storeKind: StatusReport['store']['kind'];
  /** When the agent started, and when the node became ready or not ready, on the monotonic clock. */
  readonly startedMs: number;
  readonly readySinceMs: number | undefined;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs'>;
}

/** The report, with a short list of peers. */
export function statusReport(input: StatusInput): StatusReport {
  const { state, version, storeKind, clock } = input;
  const { host, config, backend, subnets, term, store, kernel, firewall } = state;
  const at = wallTimes(clock);
  const peers = peerReports(state, at);
  return {
    schema: STATUS_SCHEMA,
    at: at(clock.monotonicMs()),
    node: {
      name: host?.node.name ?? null,
      version,
      ready: state.conditions.length === 0,
      since: at.or(input.readySinceMs),
      startedAt: at(input.startedMs),
      conditions: state.conditions.map(({ part, state: is, reason, sinceMs }: Condition) => ({
        part,
        state: is,
        reason,
        since: at.or(sinceMs),
      })),
    },
    lease: {
      subnet: subnets === undefined ? null : formatSubnets(subnets),
      network: config === undefined ? null : formatPrefix(config.network),
      kind: term?.kind ?? null,
      expiresAt: at.or(term?.expiresMs),
    },
    store: { kind: storeKind, connected: store.isConnected, lastHeardAt: at.or(store.heardMs) },
    backend: {
      type: backend?.type ?? null,
      mtuBytes: (host && backend?.mtuBytes(host.underlay)) ?? null,
      device: kernel.device ?? null,
      underlay: {
        interface: host?.underlay.name ?? null,
        address: host?.ends.ipv4?.address ?? null,
        publicAddress: host?.ends.ipv4?.publicIP ?? null,
        mtuBytes: host?.underlay.mtuBytes ?? null,
      },
    },
    kernel: {
      objects: kernel.objects,
      repaired: kernel.repaired,
      repairs: kernel.repairs.map(({ atMs, change }) => ({ at: at(atMs), change })).reverse(),
    },
    firewall: {
      mode: firewall?.mode ?? null,
      stands: firewall?.stands ?? null,
      obstacles: firewall?.obstacles ?? [],
    },
    peers: { ...countPeers(peers), list: shortList(peers) },
  };
}

/** Every peer, in the order of the subnets. */
export function allPeers(state: NodeState, clock: StatusInput['clock']): readonly PeerReport[] {
  return peerReports(state, wallTimes(clock));
}

interface WallTimes {
  (monotonicMs: number): string;
  or(monotonicMs: number | undefined): string | null;
}

function wallTimes(clock: StatusInput['clock']): WallTimes {
  const aheadMs = clock.wallMs() - clock.monotonicMs();
  const at = (ms: number): string => `${new Date(ms + aheadMs).toISOString().slice(0, 19)}Z`;
  return Object.assign(at, { or: (ms: number | undefined) => (ms === undefined ? null : at(ms)) });
}

function peerReports(state: NodeState, at: WallTimes): readonly PeerReport[] {
  const { host, backend, subnets, leases, peerConditions } = state;
  const faults = new Map(
    peerConditions.map((fault) => [`${fault.peer.subnet} ${fault.peer.publicIP}`, fault]),
  );
  const ownKey = subnets && formatSubnetKey(subnets);
  const ownAddress = host?.ends.ipv4?.publicIP;
  // Before the backend is known nothing is planned.
  if (backend === undefined) return [];
  return [...leases]
    .filter(({ key, attrs }) => key !== ownKey && attrs.publicIP.ipv4 !== ownAddress)
    .map((lease) => peerReport(lease, backend.type, faults, at))
    .sort((a, b) => bySubnet(a.subnet, b.subnet));
}

function peerReport(
  lease: Lease,
  backendType: string,
  faults: ReadonlyMap<string, PeerCondition>,
  at: WallTimes,
): PeerReport {
  const { subnets, attrs } = lease;
  const [subnet, address] = [formatSubnets(subnets), Object.values(attrs.publicIP).join(', ')];
  const fault = faults.get(`${subnet} ${address}`);
  const isOther = attrs.backendType !== backendType;
  return {
    name: leaseName(lease) ?? null,
    subnet,
    address,
    backend: attrs.backendType,
    state: isOther ? 'otherBackend' : stateOf(fault),
    reason: isOther ? `it uses the backend ${attrs.backendType}` : (fault?.reason ?? null),
    since: at.or(fault?.sinceMs),
    reachable: null,
    lossRatio: null,
    rttSeconds: null,
  };
}

function stateOf(fault: PeerCondition | undefined): PeerState {
  if (fault === undefined) return 'planned';
  return fault.part === 'kernel' ? 'refused' : 'leftOut';
}

function countPeers(peers: readonly PeerReport[]): PeerCounts {
  const counts = Object.fromEntries(PEER_STATES.map((state) => [state, 0])) as Record<PeerState, number>;
  for (const { state } of peers) counts[state] += 1;
  return { total: peers.length, ...counts };
}

// Faults come first where not all have room.
function shortList(peers: readonly PeerReport[]): readonly PeerReport[] {
  if (peers.length <= LIMITS.statusPeers) return peers;
  const rank = ({ state }: PeerReport): number => ['refused', 'leftOut', 'otherBackend'].indexOf(state);
  return peers
    .filter(({ state }) => state !== 'planned')
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, LIMITS.statusPeers)
    .sort((a, b) => bySubnet(a.subnet, b.subnet));
}

/** Compares texts such as `10.5.34.0/24` by their numbers. */
export function bySubnet(a: string, b: string): number {
  const [left, right] = [a.split(/[./]/), b.split(/[./]/)];
  for (const [place, part] of left.entries()) {
    const difference = Number(part) - Number(right[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

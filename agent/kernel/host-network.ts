// The network of this machine as the choice of the underlay sees it: links, IPv4 addresses and routes, whoever made
// them. Values only, and the questions that can be asked of them.
import { isOwnName } from '../model/host-state.ts';
import { formatPrefix, type Prefix } from '../model/ip.ts';

export interface HostLink {
  readonly index: number;
  readonly name: string;
  /** Linux's name of its type, such as `vlan`; undefined: a physical link, or lo. */
  readonly type: string | undefined;
  readonly mtuBytes: number;
  /** Undefined: it has none, or another kind of link address. */
  readonly mac: string | undefined;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly isLoopback: boolean;
  /** The address that a vxlan device sends from; undefined for all other links. */
  readonly local: string | undefined;
}

export interface HostAddress {
  /** Index of its link. */
  readonly link: number;
  readonly address: string;
  /** Bits of the network part. */
  readonly length: number;
  /** How far it is valid, as in rtnetlink: 0 everywhere, 253 on the link, 254 on this host. */
  readonly scope: number;
  /** Another address of the same network was there before. */
  readonly isSecondary: boolean;
  /** Not to be used for new connections. */
  readonly isDeprecated: boolean;
}

/** A link that a route leads out of. */
export interface NextHop {
  readonly link: number;
  /** The gateway; undefined: the destination is on the link. */
  readonly via: string | undefined;
  /** Linux does not use it, because its link is down. */
  readonly isDead: boolean;
}

/** A unicast route that is not ours: to everywhere, or to a prefix on the link. */
export interface HostRoute {
  readonly dst: Prefix;
  readonly isMain: boolean;
  /** The lowest wins. */
  readonly metric: number;
  /** The source address of packets that take the route; undefined: Linux chooses. */
  readonly source: string | undefined;
  /** Its own limit of packets; undefined: that of the link. */
  readonly mtuBytes: number | undefined;
  readonly hops: readonly NextHop[];
}

/** The kernel's answer to the question by which way a packet would leave. */
export interface WayOut {
  readonly link: number;
  readonly via: string | undefined;
  readonly source: string | undefined;
  /** The destination is an address of this host. */
  readonly isLocal: boolean;
}

export interface HostNetwork {
  /** The addresses that the last run of the agent used, as far as it has left traces. */
  readonly usedBefore: readonly string[];
  /** In the kernel's order. */
  readonly links: readonly HostLink[];
  /** In the kernel's order. */
  readonly addresses: readonly HostAddress[];
  /** In the kernel's order. */
  readonly routes: readonly HostRoute[];
  /** The way to the address that the operator wants to reach; undefined: none, or no such wish. */
  readonly toTarget: WayOut | undefined;
  /** The way to an address that no route names, by all rules of policy routing; undefined: none, or not asked for. */
  readonly outward: WayOut | undefined;
}

// Those of flannel's other backends too: an agent may have left them.
const FLANNEL_NAME = /^flannel(?:\.ipip|-wg|-wg-v6|-v6\.\d+)$/;

/** Whether a link is part of an overlay network of ours or of flannel: it carries no packets between hosts. */
export function isOverlayLink({ name }: Pick<HostLink, 'name'>): boolean {
  return isOwnName(name) || FLANNEL_NAME.test(name);
}

const STUB_TYPES: ReadonlySet<string | undefined> = new Set(['dummy', 'vrf']);

/** Whether a link only holds addresses. Packets never leave by it. */
export function isStub({ isLoopback, type }: HostLink): boolean {
  return isLoopback || STUB_TYPES.has(type);
}

/** The default routes of the main table, the one in use first. */
export function defaultRoutes({ routes }: HostNetwork): readonly HostRoute[] {
  return routes.filter(({ isMain, dst }) => isMain && dst.length === 0).sort((a, b) => a.metric - b.metric);
}

/** The links that packets on this route leave by: they exist, are up and are no overlay's. */
export function liveLinks(host: HostNetwork, { hops }: Pick<HostRoute, 'hops'>): readonly HostLink[] {
  const alive = new Set(hops.filter(({ isDead }) => !isDead).map(({ link }) => link));
  return host.links.filter((link) => alive.has(link.index) && link.isUp && !isOverlayLink(link));
}

/**
 * The routes to prefixes that this link reaches without a gateway. The main table counts; for a link that has none
 * there (it is part of a VRF, or rules lead to its routes), any other table.
 */
export function onLinkRoutes({ routes }: HostNetwork, { index }: HostLink): readonly HostRoute[] {
  const found = routes.filter(
    ({ dst, hops }) => dst.length > 0 && hops.some(({ link, via }) => link === index && via === undefined),
  );
  const main = found.filter(({ isMain }) => isMain);
  // The first of several routes to one prefix is the one in use.
  const first = new Map<string, HostRoute>();
  for (const route of main.length > 0 ? main : found) {
    const key = formatPrefix(route.dst);
    if (!first.has(key)) first.set(key, route);
  }
  return [...first.values()];
}

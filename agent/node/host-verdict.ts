// Judges whether this host carries the packets that our host state leads: by the settings, addresses and routes of the
// operator and of other programs. Pure.
import type { HostAddress, HostRoute, LocalBridge } from '../model/host-checks.ts';
import { ALL_LINKS, LOCAL_TABLE, MAIN_TABLE } from '../model/host-checks.ts';
import { type HostState, isOwnName } from '../model/host-state.ts';
import {
  addressAt,
  containsAddress,
  containsPrefix,
  formatPrefix,
  networkOf,
  overlaps,
  type Prefix,
  parsePrefix,
} from '../model/ip.ts';
import type { Plane } from '../model/plane.ts';
import { LIMITS } from './limits.ts';

/** The part of a host state that the host must carry. */
export interface Carried {
  readonly network: Prefix;
  readonly subnet: Prefix;
  /** Earlier subnets of this node, which a bridge may still have. */
  readonly former: readonly Prefix[];
  /** Name of the underlay link. */
  readonly underlay: string;
  /** Links that packets of other nodes come in by. */
  readonly links: readonly string[];
  /** Subnets of other nodes, each with the link, and the gateway if there is one, that lead there. */
  readonly peers: readonly CarriedPeer[];
}

export interface CarriedPeer {
  readonly subnet: Prefix;
  readonly dev: string;
  readonly via?: string | undefined;
}

/** One line a fault. */
export interface Verdict {
  /** Faults that stop the packets of this node's containers. */
  readonly faults: readonly string[];
  /** Faults that stop packets of some peers, or of containers beside the overlay. */
  readonly warnings: readonly string[];
}

export function carriedBy(
  { network, subnet, underlay }: Plane,
  state: HostState,
  former: readonly Prefix[] = [],
): Carried {
  const links = new Set<string>();
  const peers: CarriedPeer[] = [];
  for (const object of state) {
    if (object.kind === 'link') links.add(object.name);
    if (object.kind !== 'route' || object.dev === undefined) continue;
    links.add(object.dev);
    const dst = parsePrefix(object.dst);
    if (dst !== undefined) peers.push({ subnet: dst, dev: object.dev, via: object.via });
  }
  return { network, subnet, former, underlay: underlay.name, links: [...links], peers };
}

/** The bridges that hold this node's containers, one for each of their networks. */
export function ownBridges(
  { subnet }: Pick<Carried, 'subnet'>,
  addresses: readonly HostAddress[],
): readonly LocalBridge[] {
  const found = new Map<string, LocalBridge>();
  for (const { dev, isBridge, prefix } of addresses) {
    const network = networkOf(prefix);
    if (isBridge && containsPrefix(subnet, network))
      found.set(`${dev} ${formatPrefix(network)}`, { name: dev, network });
  }
  return [...found.values()];
}

/**
 * The links that the agent opens. It may open all links: containers without forwarding are of no use, and Docker,
 * Podman and the CNI bridge plugin do the same. Of single links only our own are opened, for another program may have
 * closed one on purpose, as Podman does for an internal network.
 */
export function linksToOpen(closed: readonly string[]): readonly string[] {
  const stopped = closed.filter((link) => link !== ALL_LINKS);
  // Somebody may have opened the links in question alone.
  if (stopped.length > 0 && stopped.length < closed.length) return [ALL_LINKS];
  return stopped.filter(isOwnName);
}

/** Judges links that stay closed. `reasons`: why they could not be opened. */
export function judgeForwarding(
  closed: readonly string[],
  bridges: readonly string[],
  reasons: ReadonlyMap<string, string>,
): Verdict {
  const stopped = closed.filter((link) => link !== ALL_LINKS);
  if (stopped.length > 0 && stopped.length < closed.length) {
    const why = reasons.get(ALL_LINKS);
    return {
      faults: [
        `/proc/sys/net/ipv4/ip_forward is 0, so this host forwards no packet of a container${because(why)}; set it with "sysctl -w net.ipv4.ip_forward=1"`,
      ],
      warnings: [],
    };
  }
  const line = (link: string): string =>
    `/proc/sys/net/ipv4/conf/${link}/forwarding is 0, so packets that come in by ${link} are not forwarded${because(reasons.get(link))}; write 1 into it`;
  // Another bridge may hold the containers that shall talk.
  const isPart = (link: string): boolean =>
    bridges.includes(link) && !bridges.every((each) => stopped.includes(each));
  return {
    faults: stopped.filter((link) => !isPart(link)).map(line),
    warnings: stopped.filter(isPart).map(line),
  };
}

function because(why: string | undefined): string {
  return why === undefined ? '' : ` (${why})`;
}

/** Judges addresses of the host in the network. */
export function judgeAddresses(carried: Carried, addresses: readonly HostAddress[]): Verdict {
  const { network, subnet, former, underlay, peers } = carried;
  const faults: string[] = [];
  const warnings: string[] = [];
  const hasBridge = ownBridges(carried, addresses).length > 0;
  for (const { dev, isBridge, answersForOthers, prefix } of addresses) {
    const connected = networkOf(prefix);
    if (isOwnName(dev)) continue;
    const overlapping = `${dev} has ${formatPrefix(prefix)}, which overlaps the network ${formatPrefix(network)}`;
    if (dev === underlay && containsAddress(subnet, prefix.address)) {
      faults.push(
        `${dev} has ${formatPrefix(prefix)}, which lies in our subnet ${formatPrefix(subnet)}, so other nodes do not reach this node; choose another network, or limit its subnets by SubnetMin and SubnetMax`,
      );
    } else if (containsPrefix(subnet, connected)) {
      continue;
    } else if (dev === underlay) {
      warnings.push(
        `${overlapping}: containers reach hosts there with their own addresses, without masquerade`,
      );
    } else if (isBridge && containsPrefix(connected, subnet)) {
      // Containers take all addresses of their bridge's network as on the link, and ask there for those of other nodes,
      // which the host may answer. A bridge beside the one with our subnet harms its own containers alone.
      if (answersForOthers) continue;
      (hasBridge ? warnings : faults).push(
        `${dev} has ${formatPrefix(prefix)}, which covers the subnets of other nodes, so its containers do not reach theirs; ${remedyFor(dev, subnet, !hasBridge)}, or choose another network`,
      );
    } else {
      const hidden = peers.find((peer) => overlaps(peer.subnet, connected));
      const remedy = isBridge ? remedyFor(dev, subnet, !hasBridge) : `give ${dev} other addresses`;
      const old = isBridge && former.find((each) => containsPrefix(each, connected));
      if (old) {
        const whose = hidden === undefined ? '' : ", which is another node's now";
        warnings.push(
          `${dev} still has ${formatPrefix(prefix)} of this node's former subnet ${formatPrefix(old)}${whose}: other nodes do not reach its containers; ${remedy}`,
        );
        continue;
      }
      const what = hidden && ` and the subnet ${formatPrefix(hidden.subnet)} of another node`;
      warnings.push(
        `${overlapping}${what ?? ''}: containers there may not be reached; ${remedy}, or choose another network`,
      );
    }
  }
  return { faults, warnings };
}

/**
 * What gives a bridge other addresses, by the program that its name speaks of. `mayTakeAll`: no bridge has our subnet
 * yet.
 */
function remedyFor(dev: string, subnet: Prefix, mayTakeAll: boolean): string {
  const own = `${addressAt(subnet, 1)}/${subnet.length}`;
  if (dev === 'docker0') return `start dockerd with --bip=${own}${mayTakeAll ? '' : ' or a free part of it'}`;
  const [program, pools] = /^(?:br-[\da-f]{12}|twd-.*)$/.test(dev)
    ? ['docker', '"default-address-pools" in daemon.json']
    : /^podman\d+$/.test(dev)
      ? ['podman', 'default_subnet_pools in containers.conf']
      : [];
  if (program !== undefined) {
    return `make its network again in our subnet (see "twill ${program} network"), or elsewhere (${pools})`;
  }
  return mayTakeAll ? `give it ${own}` : `give ${dev} other addresses`;
}

/** Peers whose routes are looked up, from all parts of the list. */
export function samplePeers(peers: readonly CarriedPeer[]): readonly CarriedPeer[] {
  const step = Math.max(1, Math.ceil(peers.length / LIMITS.routeSamples));
  return peers.filter((_, place) => place % step === 0);
}

/** An address that a container of this subnet may have. */
export function sampleAddress({ subnet }: CarriedPeer): string {
  return addressAt(subnet, subnet.length <= 30 ? 2 : 0);
}

/** Judges the routes that packets to containers of these peers take. */
export function judgeRoutes(
  peers: readonly CarriedPeer[],
  routes: readonly (HostRoute | undefined)[],
): Verdict {
  const strays = peers.flatMap(({ subnet, dev, via }, place) => {
    const route = routes[place];
    // The main table is the reconciler's where our own route is missing, or a foreign one stands in its place.
    // An address of the host has been judged as such.
    if (route === undefined || route.table === LOCAL_TABLE) return [];
    // Another gateway on the same link may know the way.
    const isDetour = route.dev === dev;
    if ((isDetour && route.via === via) || (route.table === MAIN_TABLE && route.length <= subnet.length))
      return [];
    const [other, own] = isDetour ? [route, { dev, via }].map(wayText) : [route.dev, dev];
    const where = route.table === MAIN_TABLE ? 'by a narrower route' : `by table ${route.table}`;
    const line = `packets to ${formatPrefix(subnet)} leave by ${other} and not by ${own}, ${where} of another program (see "ip route get ${sampleAddress({ subnet, dev })}"); remove that route, or choose another network`;
    return [{ line, isFault: route.table !== MAIN_TABLE && !isDetour }];
  });
  const [first] = strays;
  if (first !== undefined && strays.length === peers.length && strays.every(({ isFault }) => isFault)) {
    return { faults: [first.line], warnings: [] };
  }
  return { faults: [], warnings: strays.map(({ line }) => line) };
}

function wayText({ dev, via }: Pick<HostRoute, 'dev' | 'via'>): string {
  return via === undefined ? dev : `${dev} via ${via}`;
}

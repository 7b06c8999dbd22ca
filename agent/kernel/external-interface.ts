// Chooses the link and the address that carry the overlay's packets. Pure. The error lists all usable links.
//
//     --iface, --iface-regex ─▶ the first that fits
//     --public-ip            ─▶ the link that has the address; none: NAT, the rest decides
//     --iface-can-reach      ─▶ the way to the address, and the source that it gives
//     none of these          ─▶ the default route in use, and the source that it gives
//
// Links of an overlay are never chosen, and neither are addresses that no other host can reach.
import { TwillError } from '../base/errors.ts';
import { containsAddress, isHostAddress } from '../model/ip.ts';
import {
  defaultRoutes,
  type HostAddress,
  type HostLink,
  type HostNetwork,
  isOverlayLink,
  isStub,
  liveLinks,
  onLinkRoutes,
  type WayOut,
} from './host-network.ts';
import { LIMITS } from './limits.ts';

/** A compiled regular expression. */
export interface Pattern {
  readonly source: string;
  test(text: string): boolean;
}

/** The operator's wishes. Without any, the default route decides. */
export interface InterfaceWish {
  /** Names or addresses, in order of preference. */
  readonly iface: readonly string[];
  /** Tried after `iface`: each against all addresses, then against all names. */
  readonly ifaceRegex: readonly Pattern[];
  /** The interface that a packet to this address would leave by. */
  readonly ifaceCanReach: string | undefined;
  /** The address that is announced to peers; undefined: that of the interface. */
  readonly publicIP: string | undefined;
  /** The address that the last run used, where it is known; undefined: it is not. */
  readonly lastAddress?: string | undefined;
  /** The MAC by which peers know our vxlan device; undefined: none. It decides nothing here. */
  readonly knownMac?: string | undefined;
}

/** Our end of the underlay. */
export interface ChosenInterface {
  readonly link: HostLink;
  readonly address: string;
  /** Why it was chosen, for the log. */
  readonly why: string;
}

/** A chosen interface, by the name of its link. */
export interface EndInUse extends Omit<ChosenInterface, 'link'> {
  readonly name: string;
}

/** An interface that fits the operator's wishes. It may turn out to be unusable. */
interface Found {
  readonly link: HostLink;
  /** Undefined: only the link is decided. */
  readonly address?: string | undefined;
  /** The gateway of the route that led here. */
  readonly gateway?: string | undefined;
  readonly why: string;
}

/**
 * Chooses the underlay interface and our address on it.
 *
 * Where only the link is decided, the address is the one that Linux would send from. Such an address is not deprecated,
 * is valid everywhere, shares a network with the gateway, is no single address beside those with a network, is the
 * source of a route on the link, and was there before others of its network. So a virtual address beside the host's own
 * one is passed over, whichever is first. Where both have the same network, the last run's address is taken again.
 *
 * The interface in use stays as long as it can.
 *
 * Fails as `host` when no interface fits, or when several do and nothing decides. It lists the usable ones.
 */
export function chooseInterface(
  wish: InterfaceWish,
  host: HostNetwork,
  inUse: EndInUse | undefined,
): ChosenInterface {
  const same = inUse && endInUse(host, inUse);
  if (same !== undefined) return same;
  let refusal: TwillError | undefined;
  for (const { link, address, gateway, why } of candidates(wish, host)) {
    const chosen = address ?? sourceOn(host, link, gateway);
    const problem = problemOf(host, link, chosen);
    if (problem === undefined && chosen !== undefined) return { link, address: chosen, why };
    refusal ??= problem;
  }
  const nothing = nothingFits(wish);
  const lost = inUse && `${inUse.name} ${inUse.address} is down or gone, and ${nothing}`;
  throw refusal ?? refuse(host, lost ?? nothing);
}

/**
 * The interface that is in use, as long as its link is up and has the address. Nothing that fits better replaces it:
 * not another first address, not another default route, and not even the operator's flags, which have chosen it.
 */
export function endInUse(host: HostNetwork, { name, address, why }: EndInUse): ChosenInterface | undefined {
  const link = host.links.find((each) => each.name === name);
  if (link === undefined || !link.isUp || isOverlayLink(link) || !has(host, link, address)) return undefined;
  return { link, address, why };
}

function problemOf(host: HostNetwork, link: HostLink, address: string | undefined): TwillError | undefined {
  if (isOverlayLink(link)) return refuse(host, `interface ${link.name} is part of an overlay network`);
  if (address === undefined) {
    const found = host.addresses.find((each) => each.link === link.index)?.address;
    const but = found === undefined ? '' : ` that other hosts can reach: ${found} is not one`;
    return refuse(host, `interface ${link.name} has no IPv4 address${but}`);
  }
  if (!isHostAddress(address))
    return refuse(host, `other hosts cannot reach ${address} of interface ${link.name}`);
  if (link.isUp) return undefined;
  return new TwillError('host', `interface ${link.name} is down`, { hint: `ip link set ${link.name} up` });
}

function* candidates(wish: InterfaceWish, host: HostNetwork): Iterable<Found> {
  const { iface, ifaceRegex, ifaceCanReach, publicIP } = wish;
  if (iface.length > 0 || ifaceRegex.length > 0) {
    yield* byNameOrPattern(wish, host);
    return;
  }
  const owner = publicIP === undefined ? undefined : ownerOf(host, publicIP);
  if (owner !== undefined)
    yield { link: owner, address: publicIP, why: `it has the public address ${publicIP}` };
  else if (ifaceCanReach !== undefined) yield* byTarget(host, ifaceCanReach);
  else yield* byDefault(host);
}

function* byNameOrPattern(wish: InterfaceWish, host: HostNetwork): Iterable<Found> {
  for (const text of wish.iface) {
    const why = `--iface=${text}`;
    const named = host.links.find(({ name }) => name === text);
    const link = named ?? ownerOf(host, text);
    if (link !== undefined)
      yield named === undefined ? { link, address: text, why } : { link, ...hintsFor(host, link), why };
  }
  for (const pattern of wish.ifaceRegex) {
    const why = `--iface-regex=${pattern.source}`;
    const links = host.links.filter((link) => !isOverlayLink(link));
    for (const link of links) {
      for (const { address } of addressesOn(host, link))
        if (pattern.test(address)) yield { link, address, why };
    }
    for (const link of links) if (pattern.test(link.name)) yield { link, ...hintsFor(host, link), why };
  }
}

// The default route may say from which address, or to which gateway, packets leave by this link.
function hintsFor(host: HostNetwork, link: HostLink): Pick<Found, 'address' | 'gateway'> {
  for (const { source = '', hops } of defaultRoutes(host)) {
    const hop = hops.find((each) => each.link === link.index);
    if (hop === undefined) continue;
    const isUsable = has(host, link, source) && isHostAddress(source);
    return { address: isUsable ? source : undefined, gateway: hop.via };
  }
  return {};
}

function* byTarget(host: HostNetwork, target: string): Iterable<Found> {
  const why = `the way to --iface-can-reach=${target}`;
  const way = host.toTarget;
  if (way === undefined) return;
  if (way.isLocal) {
    const link = ownerOf(host, target);
    if (link === undefined)
      throw refuse(host, `--iface-can-reach=${target}: other hosts cannot reach this address`);
    yield { link, address: target, why: `it has --iface-can-reach=${target}` };
    return;
  }
  const link = host.links.find(({ index }) => index === way.link);
  if (link !== undefined) yield bySource(host, [link], { ...way, why });
}

function* byDefault(host: HostNetwork): Iterable<Found> {
  const routes = defaultRoutes(host).map((route) => ({ ...route, links: liveLinks(host, route) }));
  // A link without carrier is better than none.
  const works = ({ links }: (typeof routes)[number]): boolean => links.some(({ hasCarrier }) => hasCarrier);
  for (const { links, source, hops } of [
    ...routes.filter(works),
    ...routes.filter((route) => !works(route)),
  ]) {
    if (links.length === 0) continue;
    const via = links.length === 1 ? hops.find(({ link }) => link === links[0]?.index)?.via : undefined;
    yield bySource(host, links, { via, source, why: 'the default route' });
  }
  const { outward } = host;
  const link = host.links.find(({ index }) => index === outward?.link);
  if (outward === undefined || link === undefined || isStub(link)) return;
  yield bySource(host, [link], { ...outward, why: 'the default route by the rules of policy routing' });
}

/** The end of a way that leads out of these links. */
function bySource(
  host: HostNetwork,
  links: readonly HostLink[],
  { via, source, why }: Pick<WayOut, 'via' | 'source'> & { readonly why: string },
): Found {
  if (source !== undefined && isHostAddress(source)) {
    const link = links.find((each) => has(host, each, source)) ?? ownerOf(host, source);
    if (link !== undefined) return { link, address: source, why };
  }
  const [link] = links;
  const ends = links.filter((each) => sourceOn(host, each, via) !== undefined);
  if (ends.length > 1) {
    throw refuse(host, `${why} leads out of ${namesOf(ends)}: nothing decides which of them is the underlay`);
  }
  if (ends[0] !== undefined) return { link: ends[0], gateway: via, why };
  // A link without an address of its own sends from one of the loopback link.
  const stub = host.links.find(
    (each) => isStub(each) && each.isUp && sourceOn(host, each, undefined) !== undefined,
  );
  if (stub !== undefined && link !== undefined && !isOverlayLink(link)) return { link: stub, why };
  if (link === undefined) throw new Error('a way without a link');
  return { link, why };
}

/**
 * The link that has this address; undefined: none. Of several the one that holds addresses alone, then the one that the
 * default route leads out of.
 */
function ownerOf(host: HostNetwork, address: string): HostLink | undefined {
  const owners = host.links.filter((link) => !isOverlayLink(link) && has(host, link, address));
  const up = owners.filter(({ isUp }) => isUp);
  if (up.length < 2) return up[0] ?? owners[0];
  const outward = new Set(defaultRoutes(host).flatMap((route) => liveLinks(host, route)));
  const [only, another] = up.filter((link) => outward.has(link));
  const decided = up.find(isStub) ?? (another === undefined ? only : undefined);
  if (decided !== undefined) return decided;
  throw refuse(
    host,
    `${namesOf(up)} have the address ${address}: nothing decides which of them is the underlay`,
  );
}

/** Our address on this link, by the rules of `chooseInterface`; undefined: none that other hosts can reach. */
function sourceOn(host: HostNetwork, link: HostLink, gateway: string | undefined): string | undefined {
  const sources = new Set(onLinkRoutes(host, link).map(({ source }) => source));
  const faults = ({ address, length, scope, isDeprecated, isSecondary }: HostAddress): readonly number[] => [
    Number(isDeprecated),
    scope,
    Number(gateway === undefined || !containsAddress({ family: 'ipv4', address, length }, gateway)),
    Number(length === 32),
    Number(!host.usedBefore.includes(address)),
    Number(!sources.has(address)),
    Number(isSecondary),
  ];
  const [best] = addressesOn(host, link)
    .map((each) => ({ address: each.address, faults: faults(each) }))
    .sort((a, b) => compare(a.faults, b.faults));
  return best?.address;
}

function compare(a: readonly number[], b: readonly number[]): number {
  const place = a.findIndex((number, i) => number !== b[i]);
  return place < 0 ? 0 : (a[place] ?? 0) - (b[place] ?? 0);
}

function addressesOn(host: HostNetwork, link: HostLink): readonly HostAddress[] {
  return host.addresses.filter((each) => each.link === link.index && isHostAddress(each.address));
}

function has(host: HostNetwork, link: HostLink, address: string): boolean {
  return host.addresses.some((each) => each.link === link.index && each.address === address);
}

function nothingFits({ iface, ifaceRegex, ifaceCanReach }: InterfaceWish): string {
  const asked = [...iface, ...ifaceRegex.map(({ source }) => `/${source}/`)].join(', ');
  if (asked !== '') return `no interface matches ${asked}`;
  return ifaceCanReach === undefined
    ? 'no default route leads out of any interface, and --iface was not given'
    : `no route leads to ${ifaceCanReach}`;
}

function refuse(host: HostNetwork, what: string): TwillError {
  const usable = host.links.flatMap((link) => {
    const addresses = isOverlayLink(link) ? [] : addressesOn(host, link);
    return addresses.length === 0
      ? []
      : [`${link.name} (${addresses.map(({ address }) => address).join(', ')})`];
  });
  const rest = usable.length - LIMITS.listedInterfaces;
  const list = `${usable.slice(0, LIMITS.listedInterfaces).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
  const hint = list === '' ? 'no interface here has an IPv4 address' : `choose with --iface one of: ${list}`;
  return new TwillError('host', what, { hint });
}

function namesOf(links: readonly HostLink[]): string {
  return links.map(({ name }) => name).join(' and ');
}

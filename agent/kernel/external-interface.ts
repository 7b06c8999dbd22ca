// Chooses the interface that carries the overlay's packets. Pure. The error lists all usable interfaces.
import { TwillError } from '../base/errors.ts';
import type { UnderlayLink } from '../model/host-facts.ts';
import { type Prefix, parseAddress } from '../model/ip.ts';
import type { HostInterface } from './netlink/interfaces.ts';

/** The operator's wishes. Without any, the default route decides. */
export interface InterfaceWish {
  /** Names or addresses, in order of preference. */
  readonly iface: readonly string[];
  /** Tried after `iface`: each against all addresses, then against all names. */
  readonly ifaceRegex: readonly Pick<RegExp, 'source' | 'test'>[];
  /** The interface that a packet to this address would leave by. */
  readonly ifaceCanReach: string | undefined;
}

/** The underlay link, and our end on it. */
export interface ChosenInterface {
  readonly link: UnderlayLink;
  /** The MAC of the link; undefined: it has none. */
  readonly mac: string | undefined;
  readonly address: string;
  readonly onLink: readonly Prefix[];
}

/**
 * Chooses the underlay interface and our address on it. `routeTo` is the index of the link towards `ifaceCanReach`.
 *
 * Fails as `host` when no interface fits, and lists the usable ones.
 */
export function chooseInterface(
  wish: InterfaceWish,
  interfaces: readonly HostInterface[],
  routeTo: number | undefined,
): ChosenInterface {
  const isAsked = wish.iface.length > 0 || wish.ifaceRegex.length > 0;
  const candidates = isAsked ? byNameOrPattern(wish, interfaces) : byRoute(wish, interfaces, routeTo);
  let refusal: TwillError | undefined;
  // The first usable candidate wins.
  for (const { link, address = link.addresses[0]?.address } of candidates) {
    if (address !== undefined && link.isUp) {
      const { name, mtuBytes, hasCarrier, mac, onLink } = link;
      return { link: { name, mtuBytes, hasCarrier }, mac, address, onLink };
    }
    refusal ??=
      address === undefined
        ? new TwillError('host', `interface ${link.name} has no IPv4 address`, { hint: listOf(interfaces) })
        : new TwillError('host', `interface ${link.name} is down`, { hint: `ip link set ${link.name} up` });
  }
  throw refusal ?? notFound(wish, interfaces, isAsked);
}

interface Found {
  readonly link: HostInterface;
  /** Set where the operator's wish names an address. */
  readonly address?: string;
}

function* byNameOrPattern(wish: InterfaceWish, interfaces: readonly HostInterface[]): Iterable<Found> {
  for (const name of wish.iface) {
    const address = parseAddress(name)?.address;
    for (const link of interfaces) {
      if (address === undefined ? link.name === name : link.addresses.some((own) => own.address === address))
        yield address === undefined ? { link } : { link, address };
    }
  }
  for (const pattern of wish.ifaceRegex) {
    for (const link of interfaces) {
      for (const { address } of link.addresses) if (pattern.test(address)) yield { link, address };
    }
    for (const link of interfaces) if (pattern.test(link.name)) yield { link };
  }
}

function byRoute(
  wish: InterfaceWish,
  interfaces: readonly HostInterface[],
  routeTo: number | undefined,
): readonly Found[] {
  const link = interfaces.find((candidate) =>
    wish.ifaceCanReach === undefined ? candidate.hasDefaultRoute : candidate.index === routeTo,
  );
  return link === undefined ? [] : [{ link }];
}

function notFound(wish: InterfaceWish, interfaces: readonly HostInterface[], isAsked: boolean): TwillError {
  const asked = [...wish.iface, ...wish.ifaceRegex.map((pattern) => `/${pattern.source}/`)].join(', ');
  const what = isAsked
    ? `no interface matches ${asked}`
    : wish.ifaceCanReach === undefined
      ? 'no default route leads out of any interface, and --iface was not given'
      : `no route leads to ${wish.ifaceCanReach}`;
  return new TwillError('host', what, { hint: listOf(interfaces) });
}

function listOf(interfaces: readonly HostInterface[]): string {
  const usable = interfaces.filter(({ isLoopback, addresses }) => !isLoopback && addresses.length > 0);
  const list = usable.map(
    ({ name, addresses }) => `${name} (${addresses.map(({ address }) => address).join(', ')})`,
  );
  return list.length === 0
    ? 'no interface here has an IPv4 address'
    : `choose with --iface one of: ${list.join('; ')}`;
}

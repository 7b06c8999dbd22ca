// The way from our end of the underlay to the other hosts: by which links packets leave, and how large they may be.
// Pure.
import { TwillError } from '../base/errors.ts';
import type { OnLinkPrefix, UnderlayLink } from '../model/host-facts.ts';
import { containsAddress, networkOf } from '../model/ip.ts';
import type { ChosenInterface } from './external-interface.ts';
import {
  defaultRoutes,
  type HostLink,
  type HostNetwork,
  isOverlayLink,
  isStub,
  liveLinks,
  onLinkRoutes,
} from './host-network.ts';

/** The facts about the underlay that follow from the link and the address that were chosen. */
export interface UnderlayWay {
  readonly underlay: UnderlayLink;
  /** The MAC of the link that packets leave by, the first of several; undefined: it has none. */
  readonly mac: string | undefined;
  readonly onLink: readonly OnLinkPrefix[];
  /** Indexes of the link with the address and of the links that packets leave by. */
  readonly links: readonly number[];
}

/**
 * The way of packets that have `address` of `link` as their source.
 *
 * - They leave by `link` itself, unless it never carries packets or no route leads out of it. So it is with the host's
 *   address on lo, on a dummy link or on a bridge of its own. They then leave by the links of the default route.
 * - Their MTU is the smallest one of these links, of the default routes out of them, and of the routes out of them to
 *   the network of `address` (`ip route … mtu 1400`).
 *
 * Fails as `host` where no link is left for them.
 */
export function wayFrom(
  host: HostNetwork,
  { link, address }: Pick<ChosenInterface, 'link' | 'address'>,
): UnderlayWay {
  const carriesPackets =
    !isStub(link) && host.routes.some(({ hops }) => hops.some((hop) => hop.link === link.index));
  const uplinks = carriesPackets ? [link] : uplinksOf(host, link);
  const [first] = uplinks;
  if (first === undefined) {
    throw new TwillError(
      'host',
      `no default route says by which interface packets from ${address} of ${link.name} leave`,
    );
  }
  return {
    underlay: {
      name: link.name,
      carriesPackets: uplinks.includes(link),
      mtuBytes: Math.min(
        ...uplinks.flatMap((uplink) => [uplink.mtuBytes, ...routeMtus(host, uplink, address)]),
      ),
      hasCarrier: uplinks.some(({ hasCarrier }) => hasCarrier),
    },
    mac: first.mac,
    onLink: uplinks.flatMap((uplink) =>
      onLinkRoutes(host, uplink).map(({ dst }) => ({ ...networkOf(dst), dev: uplink.name })),
    ),
    links: [link, ...uplinks].map(({ index }) => index),
  };
}

function uplinksOf(host: HostNetwork, link: HostLink): readonly HostLink[] {
  const ways = defaultRoutes(host).map((route) => liveLinks(host, route).filter((each) => !isStub(each)));
  const found = ways.find((links) => links.length > 0);
  if (found !== undefined) return found;
  const { outward } = host;
  const other = host.links.find(({ index }) => index === outward?.link);
  if (other !== undefined && !isStub(other) && !isOverlayLink(other)) return [other];
  // Without any route, peers are reached as soon as somebody makes one: by this link.
  return isStub(link) ? [] : [link];
}

function routeMtus(host: HostNetwork, { index }: HostLink, address: string): readonly number[] {
  return host.routes.flatMap(({ dst, mtuBytes, hops }) => {
    const isOnWay = dst.length === 0 || containsAddress(dst, address);
    return mtuBytes !== undefined && isOnWay && hops.some(({ link }) => link === index) ? [mtuBytes] : [];
  });
}

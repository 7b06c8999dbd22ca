// Reads the interfaces of this machine as an operator names them, and the one that a packet would leave by.

import { addressBytes, addressFromBytes, networkOf, type Prefix, parsePrefix } from '../../model/ip.ts';
import { readAddresses } from './addresses.ts';
import type { RtNetlinkSocket } from './library.ts';
import { formatMac } from './mac.ts';
import { parseRoute, readRoutes } from './routes.ts';
import { BOUNDED, IPV4, kernelError, refusalOf } from './socket.ts';

/** An interface with its IPv4 addresses. */
export interface HostInterface {
  readonly name: string;
  readonly index: number;
  readonly mtuBytes: number;
  /** Undefined: it has none, or another kind of link address. */
  readonly mac: string | undefined;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly isLoopback: boolean;
  /** Addresses with the length of their network; wide scopes come first. */
  readonly addresses: readonly Prefix[];
  /** The prefixes that it reaches without a gateway. */
  readonly onLink: readonly Prefix[];
  /** Whether a default route leads out of it. */
  readonly hasDefaultRoute: boolean;
}

/** Reads all interfaces, in the kernel's order. The default route with the lowest metric counts. */
export async function readInterfaces(socket: RtNetlinkSocket): Promise<HostInterface[]> {
  try {
    const links = await socket.getLinks({}, {}, BOUNDED);
    const addresses = await readAddresses(socket);
    const routes = await readRoutes(socket);
    const names = new Map(links.map(({ data, attrs }) => [data.index ?? 0, attrs.ifname ?? '']));
    const defaults = routes
      .filter(({ data, attrs }) => data.dstLen === 0 && attrs.oif !== undefined && data.type === 'UNICAST')
      .sort((a, b) => (a.attrs.priority ?? 0) - (b.attrs.priority ?? 0));
    const defaultLink = defaults[0]?.attrs.oif;
    return links.map(({ data, attrs }) => {
      const index = data.index ?? 0;
      return {
        name: attrs.ifname ?? '',
        index,
        mtuBytes: attrs.mtu ?? 0,
        mac: attrs.address?.length === 6 ? formatMac(attrs.address) : undefined,
        isUp: data.flags?.up === true,
        hasCarrier: data.flags?.lowerUp === true,
        isLoopback: data.flags?.loopback === true,
        addresses: addresses
          .filter((message) => message.data.index === index)
          .sort((a, b) => (a.data.scope ?? 0) - (b.data.scope ?? 0))
          .flatMap((message) => {
            const local = message.attrs.local ?? message.attrs.address;
            return local?.length === 4
              ? [
                  {
                    family: 'ipv4' as const,
                    address: addressFromBytes([...local]),
                    length: message.data.prefixlen ?? 32,
                  },
                ]
              : [];
          }),
        onLink: routes.flatMap((message) => {
          const route = message.attrs.oif === index ? parseRoute(message, names) : undefined;
          const dst =
            route?.type === 'unicast' && route.via === undefined ? parsePrefix(route.dst) : undefined;
          return dst === undefined || dst.length === 0 ? [] : [networkOf(dst)];
        }),
        hasDefaultRoute: index === defaultLink,
      };
    });
  } catch (error) {
    throw kernelError('cannot read the interfaces', error);
  }
}

/** Looks up the index of the link that a packet to `address` would leave by; undefined: no route leads there. */
export async function readRouteTo(socket: RtNetlinkSocket, address: string): Promise<number | undefined> {
  try {
    const dst = Buffer.from(addressBytes(address));
    const [route] = await socket.getRoute({ family: IPV4, dstLen: 32 }, { dst }, BOUNDED);
    return route?.attrs.oif;
  } catch (error) {
    if (['ENETUNREACH', 'EHOSTUNREACH'].includes(refusalOf(error) ?? '')) return undefined;
    throw kernelError(`cannot look up the route to ${address}`, error);
  }
}

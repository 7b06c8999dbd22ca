// New connections that foreign chains must let pass, each as the chains see its first packet. Pure.
import type { Traffic } from '../../model/firewall.ts';
import { addressBytes, networkOf, type Prefix } from '../../model/ip.ts';

/** The first and the last of some IPv4 addresses, as numbers. */
export type AddressRange = readonly [first: number, last: number];

/** All addresses of `within` but those of `except`. */
export interface Addresses {
  readonly within: AddressRange;
  readonly except?: AddressRange | undefined;
}

/** Connections that differ only in addresses. */
export interface Flow {
  readonly direction: /** From containers of other nodes to ours. */
    | 'from peers'
    /** From our containers to those of other nodes. */
    | 'to peers'
    /** From our containers to hosts outside of the overlay. */
    | 'to outside';
  /** The bridge of our containers; undefined: none is known. */
  readonly bridge: string | undefined;
  /** Undefined: a bridge of an unknown name. */
  readonly linkIn: string | undefined;
  readonly linkOut: string | undefined;
  readonly source: Addresses;
  readonly destination: Addresses;
  /** The whole overlay. */
  readonly network: AddressRange;
}

const EVERYWHERE: AddressRange = [0, 2 ** 32 - 1];

/** All flows of a node, those of each bridge in a row. */
export function flowsOf(traffic: Traffic, mostBridges: number): readonly Flow[] {
  const { subnet, underlay, peerLinks } = traffic;
  const network = rangeOf(traffic.network);
  const peers: Addresses = { within: network, except: rangeOf(subnet) };
  const outside: Addresses = { within: EVERYWHERE, except: network };
  const known = traffic.bridges.slice(0, mostBridges);
  const bridges = known.length === 0 ? [{ name: undefined, network: subnet }] : known;
  return bridges.flatMap(({ name: bridge, network: part }): readonly Flow[] => {
    const ours: Addresses = { within: rangeOf(part) };
    return [
      ...peerLinks.flatMap((link): readonly Flow[] => [
        {
          direction: 'from peers',
          bridge,
          linkIn: link,
          linkOut: bridge,
          source: peers,
          destination: ours,
          network,
        },
        {
          direction: 'to peers',
          bridge,
          linkIn: bridge,
          linkOut: link,
          source: ours,
          destination: peers,
          network,
        },
      ]),
      {
        direction: 'to outside',
        bridge,
        linkIn: bridge,
        linkOut: underlay,
        source: ours,
        destination: outside,
        network,
      },
    ];
  });
}

/** The addresses of an IPv4 prefix. */
export function rangeOf(prefix: Prefix): AddressRange {
  const first = numberOf(networkOf(prefix).address);
  return [first, first + 2 ** (32 - prefix.length) - 1];
}

/** An IPv4 address as a number. */
export function numberOf(address: string): number {
  return addressBytes(address).reduce((number, byte) => number * 256 + byte, 0);
}

/** The text of an IPv4 address that is given as a number. */
export function formatNumber(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}

// Reads the bytes of messages about links, addresses and routes, as far as the choice of the underlay needs them. Pure.
// `bytes.ts` says why not by the package.

import { addressFromBytes } from '../../model/ip.ts';
import { ROUTE_PROTOCOL } from '../../model/kinds/route.ts';
import type { HostAddress, HostLink, HostRoute, NextHop, WayOut } from '../host-network.ts';
import { attributesIn, numberOf, textOf } from './bytes.ts';
import { formatMac } from './mac.ts';
import { IPV4 } from './socket.ts';

// include/uapi/linux/if_link.h, if.h, if_arp.h. struct ifinfomsg: family, padding, type, index, flags, change.
const [IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO] = [1, 3, 4, 18];
const LINK_HEADER_BYTES = 16;
const [IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VXLAN_LOCAL] = [1, 2, 4];
const [IFF_UP, IFF_LOOPBACK, IFF_LOWER_UP] = [0x1, 0x8, 0x1_0000];
const ARPHRD_ETHER = 1;
/** The index of the link in the bytes of a message about a link or an address. */
export function linkIndexOf(data: Buffer): number {
  return numberOf(data.subarray(4));
}

/** The link that a message describes. */
export function parseLink(data: Buffer): HostLink {
  let [name, mtuBytes]: [string, number] = ['', 0];
  let mac: string | undefined;
  let info: LinkInfo = { type: undefined, local: undefined };
  for (const [attribute, value] of attributesIn(data, LINK_HEADER_BYTES)) {
    if (attribute === IFLA_IFNAME) name = textOf(value);
    else if (attribute === IFLA_MTU) mtuBytes = numberOf(value);
    else if (attribute === IFLA_LINKINFO) info = parseLinkInfo(value);
    else if (attribute === IFLA_ADDRESS && data.readUInt16LE(2) === ARPHRD_ETHER) mac = formatMac(value);
  }
  const flags = numberOf(data.subarray(8));
  return {
    index: linkIndexOf(data),
    name,
    mtuBytes,
    mac,
    ...info,
    isUp: (flags & IFF_UP) !== 0,
    hasCarrier: (flags & IFF_LOWER_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
  };
}

type LinkInfo = Pick<HostLink, 'type' | 'local'>;

function parseLinkInfo(bytes: Buffer): LinkInfo {
  let [type, local]: [string | undefined, string | undefined] = [undefined, undefined];
  for (const [attribute, value] of attributesIn(bytes, 0)) {
    if (attribute === IFLA_INFO_KIND) type = textOf(value);
    else if (attribute === IFLA_INFO_DATA && type === 'vxlan') {
      for (const [part, own] of attributesIn(value, 0)) {
        if (part === IFLA_VXLAN_LOCAL && own.length === 4) local = addressFromBytes([...own]);
      }
    }
  }
  return { type, local };
}

// include/uapi/linux/if_addr.h. struct ifaddrmsg: family, prefixlen, flags, scope, index.
const [IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS] = [1, 2, 8];
const ADDRESS_HEADER_BYTES = 8;
const [IFA_F_SECONDARY, IFA_F_DEPRECATED] = [0x1, 0x20];

/** The IPv4 address that a message describes; undefined: it is of another family. */
export function parseAddress(data: Buffer): HostAddress | undefined {
  const [family, length = 32, shortFlags = 0, scope = 0] = data;
  if (family !== IPV4) return undefined;
  let [flags, address, local]: [number, Buffer | undefined, Buffer | undefined] = [
    shortFlags,
    undefined,
    undefined,
  ];
  for (const [attribute, value] of attributesIn(data, ADDRESS_HEADER_BYTES)) {
    if (attribute === IFA_ADDRESS) address = value;
    else if (attribute === IFA_LOCAL) local = value;
    else if (attribute === IFA_FLAGS) flags = numberOf(value);
  }
  // On a point-to-point link the other one is the peer's.
  const own = local ?? address;
  if (own?.length !== 4) return undefined;
  return {
    link: linkIndexOf(data),
    address: addressFromBytes([...own]),
    length,
    scope,
    isSecondary: (flags & IFA_F_SECONDARY) !== 0,
    isDeprecated: (flags & IFA_F_DEPRECATED) !== 0,
  };
}

// include/uapi/linux/rtnetlink.h. struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
const [RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS] = [1, 4, 5, 6, 7, 8];
const [RTA_MULTIPATH, RTA_VIA] = [9, 18];
const ROUTE_HEADER_BYTES = 12;
const [RTN_UNICAST, RTN_LOCAL] = [1, 2];
const [TABLE_MAIN, TABLE_LOCAL] = [254, 255];
const RTAX_MTU = 2;
const RTNH_F_DEAD = 1;
const HOP_HEADER_BYTES = 8;

/** The route when it leads everywhere or to a prefix on a link, for packets of every kind, and is not ours. */
export function parseHostRoute(data: Buffer): HostRoute | undefined {
  const [family, length = 0, , tos, table = 0, protocol, , type] = data;
  if (family !== IPV4 || type !== RTN_UNICAST || protocol === ROUTE_PROTOCOL || tos !== 0) return undefined;
  if (table === TABLE_LOCAL) return undefined;
  if (length > 0 && hasGateway(data)) return undefined;
  return { ...parseParts(data), isMain: table === TABLE_MAIN };
}

/** The way that the answer to a question for a route describes; undefined: it names no link. */
export function parseWayOut(data: Buffer): WayOut | undefined {
  const { hops, source } = parseParts(data);
  const [hop] = hops;
  return hop && { link: hop.link, via: hop.via, source, isLocal: data[7] === RTN_LOCAL };
}

// Most of ten thousand foreign routes have one: this is all that is read of them.
function hasGateway(data: Buffer): boolean {
  for (let at = ROUTE_HEADER_BYTES; at + 4 <= data.length; at += (data.readUInt16LE(at) + 3) & ~3) {
    const type = data.readUInt16LE(at + 2);
    if (type === RTA_GATEWAY || type === RTA_VIA) return true;
    if (data.readUInt16LE(at) < 4) return false;
  }
  return false;
}

function parseParts(data: Buffer): Omit<HostRoute, 'isMain'> {
  const [, length = 0] = data;
  const isDead = ((data[8] ?? 0) & RTNH_F_DEAD) !== 0;
  let [dst, metric, link, via]: [string, number, number, string | undefined] = ['0.0.0.0', 0, 0, undefined];
  let [source, mtuBytes]: [string | undefined, number | undefined] = [undefined, undefined];
  let hops: readonly NextHop[] = [];
  for (const [attribute, value] of attributesIn(data, ROUTE_HEADER_BYTES)) {
    if (attribute === RTA_DST) dst = addressFromBytes([...value]);
    else if (attribute === RTA_OIF) link = numberOf(value);
    else if (attribute === RTA_GATEWAY || attribute === RTA_VIA) via = formatGateway(attribute, value);
    else if (attribute === RTA_PRIORITY) metric = numberOf(value);
    else if (attribute === RTA_PREFSRC) source = addressFromBytes([...value]);
    else if (attribute === RTA_MULTIPATH) hops = parseHops(value);
    else if (attribute === RTA_METRICS) {
      for (const [name, number] of attributesIn(value, 0)) if (name === RTAX_MTU) mtuBytes = numberOf(number);
    }
  }
  if (link !== 0) hops = [{ link, via, isDead }];
  return { dst: { family: 'ipv4', address: dst, length }, metric, source, mtuBytes, hops };
}

// struct rtnexthop: length 2, flags 1, weight 1, link 4; then attributes.
function parseHops(bytes: Buffer): readonly NextHop[] {
  const hops: NextHop[] = [];
  for (let at = 0; at + HOP_HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < HOP_HEADER_BYTES) break;
    const hop = bytes.subarray(at, at + length);
    let via: string | undefined;
    for (const [attribute, value] of attributesIn(hop, HOP_HEADER_BYTES)) {
      if (attribute === RTA_GATEWAY || attribute === RTA_VIA) via = formatGateway(attribute, value);
    }
    hops.push({ link: numberOf(hop.subarray(4)), via, isDead: ((hop[2] ?? 0) & RTNH_F_DEAD) !== 0 });
    at += (length + 3) & ~3;
  }
  return hops;
}

// A gateway of another family comes behind the two bytes of its family.
function formatGateway(attribute: number, value: Buffer): string {
  const bytes = attribute === RTA_VIA ? value.subarray(2) : value;
  return bytes.length === 4 || bytes.length === 16 ? addressFromBytes([...bytes]) : bytes.toString('hex');
}

// The codec of IPv4 routes in the main table.

import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import { ROUTE_PROTOCOL, type Route } from '../../model/kinds/route.ts';
import { attributeOf } from './bytes.ts';
import type { EntryCodec, NameOf } from './codec.ts';
import { type RtNetlinkSocket, rt } from './library.ts';
import { type Attribute, formatPayload, u32 } from './payload.ts';
import { dump, IPV4 } from './socket.ts';

const MAIN_TABLE = 254;
const RTNH_F_ONLINK = 4;
// include/uapi/linux/rtnetlink.h
const [UNIVERSE, LINK] = [0, 253];
const [ANY, UNICAST, BLACKHOLE] = [0, 1, 6];
const [TABLE_BYTE, PROTOCOL_BYTE] = [4, 5];
const ROUTE_HEADER_BYTES = 12;
const [RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY] = [1, 4, 5, 6];
// A blackhole takes the packets that no other route takes: it gives way to a connected route of the same prefix.
const BLACKHOLE_METRIC = 0xffff_ffff;

function usualMetric(isBlackhole: boolean): number {
  return isBlackhole ? BLACKHOLE_METRIC : 0;
}

const { NEWROUTE, DELROUTE, GETROUTE } = rt.MessageType;

export const routeCodec: EntryCodec<Route> = {
  plural: 'routes',
  links: 'all',
  requests: { add: NEWROUTE, delete: DELROUTE, list: GETROUTE },
  list: () => format({ dstLength: 0, scope: UNIVERSE, type: ANY, flags: 0 }, []),
  mayBeOurs: (data) => data[0] === IPV4 && data[PROTOCOL_BYTE] === ROUTE_PROTOCOL,
  parse: (message, nameOf) => (message.kind === 'route' ? parseRoute(message, nameOf) : undefined),
  isOurs: (message) => message.kind === 'route' && Number(message.data.protocol) === ROUTE_PROTOCOL,
  encode(route, index) {
    const prefix = parsePrefix(route.dst);
    if (prefix === undefined) throw new Error(`not a prefix: ${route.dst}`);
    const isBlackhole = route.type === 'blackhole';
    const header = {
      dstLength: prefix.length,
      scope: route.via === undefined && !isBlackhole ? LINK : UNIVERSE,
      type: isBlackhole ? BLACKHOLE : UNICAST,
      flags: route.onlink ? RTNH_F_ONLINK : 0,
    };
    const attributes: Attribute[] = [
      [RTA_DST, addressBytes(prefix.address)],
      [RTA_PRIORITY, u32(route.metric ?? usualMetric(isBlackhole))],
    ];
    if (!isBlackhole) attributes.push([RTA_OIF, u32(index)]);
    if (route.via !== undefined) attributes.push([RTA_GATEWAY, addressBytes(route.via)]);
    return format(header, attributes);
  },
};

/** Reads the IPv4 routes of the main table to these prefixes, whoever made them. The others are not parsed. */
export function readRoutesTo(
  socket: RtNetlinkSocket,
  prefixes: ReadonlySet<string>,
): Promise<rt.RouteMessage[]> {
  const request = format({ dstLength: 0, scope: UNIVERSE, type: ANY, flags: 0 }, []);
  // A strict kernel lists the routes of one protocol else.
  request[PROTOCOL_BYTE] = ANY;
  return dump(socket, GETROUTE, request, {
    mayMatter(data) {
      const dst = attributeOf(data, ROUTE_HEADER_BYTES, RTA_DST);
      return (
        isInMainTable(data) && prefixes.has(`${addressFromBytes([...(dst ?? [0, 0, 0, 0])])}/${data[1]}`)
      );
    },
    read: (message) => (message.kind === 'route' && isMainRoute(message) ? message : undefined),
  });
}

/** Whether the bytes of a message are those of an IPv4 route of the main table. */
export function isInMainTable(data: Buffer): boolean {
  return data[0] === IPV4 && data[TABLE_BYTE] === MAIN_TABLE;
}

/** The key that a route of ours would have in the place of this route, whoever made it; undefined: not in our table. */
export function routeKey(message: rt.RouteMessage): string | undefined {
  if (!isMainRoute(message)) return undefined;
  const { attrs } = message;
  const dst = dstOf(message);
  const priority = attrs.priority ?? 0;
  if (priority === BLACKHOLE_METRIC) return `blackhole ${dst}`;
  return priority === 0 ? `route ${dst}` : `route ${dst} metric ${priority}`;
}

/** A route as another program made it, in the words of `ip`, without its destination. */
export function describeRoute({ data, attrs }: rt.RouteMessage, nameOf: NameOf): string {
  const parts = [
    data.type === 'UNICAST' ? '' : String(data.type).toLowerCase(),
    attrs.gateway === undefined ? '' : `via ${addressFromBytes([...attrs.gateway])}`,
    attrs.oif === undefined ? '' : `dev ${nameOf.get(attrs.oif) ?? `link ${attrs.oif}`}`,
    // A name where the package knows one, else the number.
    `proto ${String(data.protocol).toLowerCase()}`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function dstOf({ data, attrs }: rt.RouteMessage): string {
  return `${attrs.dst === undefined ? '0.0.0.0' : addressFromBytes([...attrs.dst])}/${data.dstLen}`;
}

/** A route of the main table as an object, whoever made it; undefined for a form that we never make. */
export function parseRoute(message: rt.RouteMessage, nameOf: NameOf): Route | undefined {
  if (!isMainRoute(message)) return undefined;
  const { data, attrs } = message;
  const isBlackhole = data.type === 'BLACKHOLE';
  const priority = attrs.priority ?? 0;
  const metric = priority === usualMetric(isBlackhole) ? {} : { metric: priority };
  const dst = dstOf(message);
  if (isBlackhole) {
    return {
      kind: 'route',
      type: 'blackhole',
      dst,
      via: undefined,
      dev: undefined,
      onlink: false,
      ...metric,
    };
  }
  if (data.type !== 'UNICAST') return undefined;
  return {
    kind: 'route',
    type: 'unicast',
    dst,
    via: attrs.gateway === undefined ? undefined : addressFromBytes([...attrs.gateway]),
    dev: nameOf.get(attrs.oif ?? 0),
    onlink: ((data.flags?.__unknown ?? 0) & RTNH_F_ONLINK) !== 0,
    ...metric,
  };
}

function isMainRoute({ data, attrs }: rt.RouteMessage): boolean {
  return data.family === IPV4 && (attrs.table ?? data.table) === MAIN_TABLE;
}

interface Header {
  readonly dstLength: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
}

// struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
function format({ dstLength, scope, type, flags }: Header, attributes: readonly Attribute[]): Buffer {
  const header = [IPV4, dstLength, 0, 0, MAIN_TABLE, ROUTE_PROTOCOL, scope, type, ...u32(flags)];
  return formatPayload(header, attributes);
}

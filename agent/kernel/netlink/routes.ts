// The codec of IPv4 routes in the main table.

import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import { ROUTE_PROTOCOL, type Route } from '../../model/kinds/route.ts';
import type { EntryCodec, NameOf } from './codec.ts';
import { AttrStream, type RtNetlinkSocket, rt } from './library.ts';
import { dump, IPV4 } from './socket.ts';

const MAIN_TABLE = 254;
const RTNH_F_ONLINK = 4;
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
  listAll: () => format({ family: IPV4 }, {}),
  parse: (message, nameOf) => (message.kind === 'route' ? parseRoute(message, nameOf) : undefined),
  isOurs: (message) => message.kind === 'route' && Number(message.data.protocol) === ROUTE_PROTOCOL,
  encode(route, index) {
    const prefix = parsePrefix(route.dst);
    if (prefix === undefined) throw new Error(`not a prefix: ${route.dst}`);
    const isBlackhole = route.type === 'blackhole';
    const data: rt.Route = {
      family: IPV4,
      dstLen: prefix.length,
      table: MAIN_TABLE,
      protocol: ROUTE_PROTOCOL as rt.RouteProtocol,
      scope: route.via === undefined && !isBlackhole ? 'LINK' : 'UNIVERSE',
      type: isBlackhole ? 'BLACKHOLE' : 'UNICAST',
      flags: route.onlink ? { __unknown: RTNH_F_ONLINK } : {},
    };
    const dst = Buffer.from(addressBytes(prefix.address));
    const gateway = route.via === undefined ? {} : { gateway: Buffer.from(addressBytes(route.via)) };
    const priority = route.metric ?? usualMetric(isBlackhole);
    return format(data, { dst, priority, ...(isBlackhole ? {} : { ...gateway, oif: index }) });
  },
};

/** Reads the IPv4 routes of the main table, whoever made them. */
export function readRoutes(socket: RtNetlinkSocket): Promise<rt.RouteMessage[]> {
  return dump(socket, GETROUTE, routeCodec.listAll(), (message) =>
    message.kind === 'route' && isMainRoute(message) ? message : undefined,
  );
}

/** A route of the main table as an object, whoever made it; undefined for a form that we never make. */
export function parseRoute(message: rt.RouteMessage, nameOf: NameOf): Route | undefined {
  if (!isMainRoute(message)) return undefined;
  const { data, attrs } = message;
  const isBlackhole = data.type === 'BLACKHOLE';
  const priority = attrs.priority ?? 0;
  const metric = priority === usualMetric(isBlackhole) ? {} : { metric: priority };
  const dst = `${attrs.dst === undefined ? '0.0.0.0' : addressFromBytes([...attrs.dst])}/${data.dstLen}`;
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

function format(data: rt.Route, attrs: rt.RouteMessage['attrs']): AttrStream {
  const payload = new AttrStream();
  rt.formatRouteMessage({ kind: 'route', data, attrs }, payload);
  return payload;
}

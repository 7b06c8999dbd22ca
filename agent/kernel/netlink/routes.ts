// IPv4 routes of the main table.
import { AttrStream, type RtNetlinkSocket, rt } from 'netlink';
import { ROUTE_PROTOCOL, type Route } from '../../model/host-state.ts';
import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import type { BatchRequest } from './batch.ts';
import { CREATE, dump, IPV4, REPLACE } from './socket.ts';

const MAIN_TABLE = 254;
const RTNH_F_ONLINK = 4;
// A blackhole is for what no other route takes: it gives way to a connected route of the same prefix.
const BLACKHOLE_METRIC = 0xffff_ffff;

function usualMetric(isBlackhole: boolean): number {
  return isBlackhole ? BLACKHOLE_METRIC : 0;
}

/** What `read` makes of each IPv4 route of all tables, where it is not undefined. */
export function readRoutes<T>(
  socket: RtNetlinkSocket,
  read: (message: rt.RouteMessage) => T | undefined,
): Promise<T[]> {
  const request = new AttrStream();
  rt.formatRouteMessage({ kind: 'route', data: { family: IPV4 }, attrs: {} }, request);
  return dump(socket, rt.MessageType.GETROUTE, request, (message) =>
    message.kind === 'route' ? read(message) : undefined,
  );
}

/** Whether the route lies in the main table. */
export function isMainRoute({ data, attrs }: rt.RouteMessage): boolean {
  return data.family === IPV4 && (attrs.table ?? data.table) === MAIN_TABLE;
}

/** Whether the route carries our protocol number. */
export function isOwnRoute(message: rt.RouteMessage): boolean {
  return Number(message.data.protocol) === ROUTE_PROTOCOL;
}

/** A route of the main table, whoever made it, as an object; undefined for kinds that we never make. */
export function parseRoute(message: rt.RouteMessage, nameOf: ReadonlyMap<number, string>): Route | undefined {
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

/**
 * The request that adds the route, or puts it in the place of one to the same destination without a moment between;
 * or the one that deletes it.
 */
export function encodeRoute(route: Route, index: number, isDelete: boolean): BatchRequest {
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
  const attrs = { dst, priority, ...(isBlackhole ? {} : { ...gateway, oif: index }) };
  const payload = new AttrStream();
  rt.formatRouteMessage({ kind: 'route', data, attrs }, payload);
  const { NEWROUTE, DELROUTE } = rt.MessageType;
  return { type: isDelete ? DELROUTE : NEWROUTE, flags: isDelete ? 0 : CREATE | REPLACE, payload };
}

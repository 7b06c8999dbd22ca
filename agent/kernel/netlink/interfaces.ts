// Reads the links, addresses and routes that the choice of the underlay depends on. A host may have thousands of others
// of each: messages are judged and read by their bytes, and only the parts that count.
import { systemClock } from '../../base/clock.ts';
import { createYieldTurn } from '../../base/yield-turn.ts';
import { addressBytes } from '../../model/ip.ts';
import {
  type HostAddress,
  type HostLink,
  type HostNetwork,
  type HostRoute,
  isOverlayLink,
  type WayOut,
} from '../host-network.ts';
import { linkIndexOf, parseAddress, parseHostRoute, parseLink, parseWayOut } from './host-messages.ts';
import { FlagsGet, type RtNetlinkSocket, rt } from './library.ts';
import { type Attribute, formatPayload, u32 } from './payload.ts';
import { BOUNDED, IPV4, kernelError, refusalOf } from './socket.ts';

const { GETLINK, GETADDR, GETROUTE } = rt.MessageType;

/**
 * TEST-NET-1 (RFC 5737). No route names it, so the kernel's answer is the way to everywhere by all rules of policy
 * routing.
 */
const ANYWHERE = '192.0.2.1';

export interface NetworkQuestions {
  /** The address to which the way is asked for. */
  readonly target: string | undefined;
  /** The address that the last run used, where it is known otherwise than by a device. */
  readonly lastAddress: string | undefined;
}

/** Reads all that a choice may need. Fails as `host`. */
export async function readHostNetwork(
  socket: RtNetlinkSocket,
  { target, lastAddress }: NetworkQuestions,
): Promise<HostNetwork> {
  return reading(async () => {
    const links = await dump(socket, GETLINK, linkRequest(0, []), parseLink);
    const addresses = await dump(socket, GETADDR, addressRequest(0), parseAddress);
    const routes = await dump(socket, GETROUTE, ROUTE_REQUEST, parseHostRoute);
    const toTarget = target === undefined ? undefined : await readWayTo(socket, target);
    const outward = await readOutward(socket, routes);
    const usedBefore = tracesIn(links, lastAddress);
    return { links, addresses, routes, toTarget, outward, usedBefore };
  });
}

/**
 * Reads one link, the links of default routes, and the addresses and routes of these. Enough to choose the link by its
 * name, and to see whether it still carries the overlay. The cost does not grow with the links of the host. Fails as
 * `host`.
 */
export async function readNetworkOf(
  socket: RtNetlinkSocket,
  name: string,
  { lastAddress }: Pick<NetworkQuestions, 'lastAddress'>,
): Promise<HostNetwork> {
  return reading(async () => {
    const link = await readLink(socket, linkRequest(0, [[IFLA_IFNAME, [...Buffer.from(`${name}\0`)]]]));
    const concerns = ({ dst, hops }: HostRoute): boolean =>
      dst.length === 0 || hops.some((hop) => hop.link === link?.index);
    const routes = await dump(socket, GETROUTE, ROUTE_REQUEST, (data) => {
      const route = parseHostRoute(data);
      return route !== undefined && concerns(route) ? route : undefined;
    });
    const outward = await readOutward(socket, routes);
    const links = link === undefined ? [] : [link];
    const others = new Set(routes.flatMap(({ hops }) => hops.map((hop) => hop.link)));
    if (outward !== undefined) others.add(outward.link);
    others.delete(link?.index ?? 0);
    for (const index of others) {
      const other = await readLink(socket, linkRequest(index, []));
      if (other !== undefined) links.push(other);
    }
    const addresses: HostAddress[] = [];
    for (const { index } of links) {
      const found = await dump(socket, GETADDR, addressRequest(index), (data) =>
        index === linkIndexOf(data) ? parseAddress(data) : undefined,
      );
      addresses.push(...found);
    }
    const devices = await dump(socket, GETLINK, VXLAN_REQUEST, (data) => {
      const device = parseLink(data);
      return device.local === undefined ? undefined : device;
    });
    const usedBefore = tracesIn(devices, lastAddress);
    return { links, addresses, routes, toTarget: undefined, outward, usedBefore };
  });
}

// Our devices outlive the agent.
function tracesIn(links: readonly HostLink[], lastAddress: string | undefined): readonly string[] {
  const traces = [lastAddress, ...links.filter(isOverlayLink).map(({ local }) => local)];
  return traces.filter((address) => address !== undefined);
}

async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw kernelError('cannot read the interfaces', error);
  }
}

async function dump<T>(
  socket: RtNetlinkSocket,
  type: number,
  request: Buffer,
  read: (data: Buffer) => T | undefined,
): Promise<T[]> {
  const [messages] = await socket.socket.request(type, [request], { flags: FlagsGet.DUMP, ...BOUNDED });
  const yieldTurn = createYieldTurn(systemClock);
  const found: T[] = [];
  for (const { data } of messages) {
    await yieldTurn();
    const value = read(data);
    if (value !== undefined) found.push(value);
  }
  return found;
}

// Asked only where the main table has no answer: where it has one, that is the operator's word.
async function readOutward(
  socket: RtNetlinkSocket,
  routes: readonly HostRoute[],
): Promise<WayOut | undefined> {
  const hasDefault = routes.some(({ isMain, dst, hops }) => isMain && dst.length === 0 && hops.length > 0);
  return hasDefault ? undefined : readWayTo(socket, ANYWHERE);
}

async function readLink(socket: RtNetlinkSocket, request: Buffer): Promise<HostLink | undefined> {
  try {
    const [[message]] = await socket.socket.request(GETLINK, [request], BOUNDED);
    return message && parseLink(message.data);
  } catch (error) {
    if (refusalOf(error) === 'ENODEV') return undefined;
    throw error;
  }
}

// Refusals by routes that lead nowhere: none, unreachable, prohibit, blackhole.
const NO_WAY: readonly (string | undefined)[] = ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'];

async function readWayTo(socket: RtNetlinkSocket, address: string): Promise<WayOut | undefined> {
  const request = formatPayload([IPV4, 32, 0, 0, 0, 0, 0, 0, ...u32(0)], [[RTA_DST, addressBytes(address)]]);
  try {
    const [[message]] = await socket.socket.request(GETROUTE, [request], BOUNDED);
    return message && parseWayOut(message.data);
  } catch (error) {
    if (NO_WAY.includes(refusalOf(error))) return undefined;
    throw kernelError(`cannot look up the route to ${address}`, error);
  }
}

// include/uapi/linux/if_link.h. struct ifinfomsg: family, padding, type, index, flags, change.
const [IFLA_IFNAME, IFLA_LINKINFO, IFLA_EXT_MASK] = [3, 18, 29];
const IFLA_INFO_KIND = 1;
const RTN_UNICAST = 1;
/** Leaves out statistics, which would be most of each message. */
const RTEXT_FILTER_SKIP_STATS = 8;

function linkRequest(index: number, attributes: readonly Attribute[]): Buffer {
  const header = [0, 0, 0, 0, ...u32(index), ...u32(0), ...u32(0)];
  return formatPayload(header, [...attributes, [IFLA_EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS)]]);
}

const VXLAN_REQUEST = linkRequest(0, [
  [IFLA_LINKINFO, [...formatPayload([], [[IFLA_INFO_KIND, [...Buffer.from('vxlan\0')]]])]],
]);

/** Lists the addresses of one link, or of all links; a kernel that is not strict lists all. */
function addressRequest(index: number): Buffer {
  return formatPayload([IPV4, 0, 0, 0, ...u32(index)], []);
}

// Lists the unicast routes; a kernel that is not strict lists all.
const ROUTE_REQUEST = formatPayload([IPV4, 0, 0, 0, 0, 0, 0, RTN_UNICAST, ...u32(0)], []);
const RTA_DST = 1;

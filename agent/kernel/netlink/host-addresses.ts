// Reads the addresses of all links in one network, and the links that packets leave by. A host may have thousands of
// addresses that mean nothing here: their messages are looked at as bytes, and never parsed.
import { type HostAddress, type HostRoute, LOCAL_TABLE } from '../../model/host-checks.ts';
import { addressBytes, addressFromBytes, type Prefix } from '../../model/ip.ts';
import { attributeOf, placeOf } from './bytes.ts';
import { formatAddressFilter, KERNEL_PROTOCOL } from './event-filter.ts';
import { FlagsGet, ifla, Protocol, type RtNetlinkSocket, rt } from './library.ts';
import { createEventFilter, ROUTING, silenceOverrun } from './overrun.ts';
import { formatPayload, u32 } from './payload.ts';
import { type MayBeWanted, sifting } from './sift.ts';
import { BOUNDED, IPV4, openEventSocket, refusalOf } from './socket.ts';

// include/uapi/linux/if_addr.h: struct ifaddrmsg is family, prefixlen, flags, scope, index.
const HEADER_BYTES = 8;
const IFA_ADDRESS = 1;
// include/uapi/linux/rtnetlink.h: struct rtmsg is family, dst_len, src_len, tos, table, protocol, scope, type, flags.
const ROUTE_HEADER_BYTES = 12;
const RTA_DST = 1;

/** An address as netlink tells it. */
export type LinkAddress = Omit<HostAddress, 'answersForOthers'>;

/** Reads the addresses whose networks overlap `network`, on links that are up, and counts all. */
export async function readAddressesIn(
  socket: RtNetlinkSocket,
  network: Prefix,
): Promise<{ readonly addresses: readonly LinkAddress[]; readonly seen: number }> {
  const { GETADDR } = rt.MessageType;
  const request = formatPayload([IPV4, 0, 0, 0, 0, 0, 0, 0], []);
  const overlaps = overlapWith(network);
  let seen = 0;
  const mayBeWanted: MayBeWanted = (bytes, start, end) => {
    seen++;
    const at = placeOf(bytes, start + HEADER_BYTES, end, IFA_ADDRESS);
    return at !== undefined && overlaps(bytes[start + 1] ?? 32, bytes.readUInt32BE(at));
  };
  const [messages] = await sifting(socket.socket, mayBeWanted, () =>
    socket.socket.request(GETADDR, [request], { flags: FlagsGet.DUMP, ...BOUNDED }),
  );
  const linkOf = createLinkReader(socket);
  const found: LinkAddress[] = [];
  for (const { data } of messages) {
    const [length = 32] = data.subarray(1);
    // The other end of a point-to-point link is what has a route.
    const other = attributeOf(data, HEADER_BYTES, IFA_ADDRESS);
    if (data[0] !== IPV4 || other?.length !== 4) continue;
    if (!overlaps(length, bitsOf(other))) continue;
    const link = await linkOf(data.readUInt32LE(4));
    if (link === undefined || !link.isUp) continue;
    const prefix = { family: 'ipv4', address: addressFromBytes([...other]), length } as const;
    found.push({ dev: link.name, isBridge: link.isBridge, prefix });
  }
  return { addresses: found, seen };
}

const { NEWADDR, DELADDR, NEWROUTE } = rt.MessageType;
const { IPV4_IFADDR, IPV4_ROUTE } = rt.MulticastGroups;

/**
 * Calls `onChange` after an address whose network overlaps `network` has come or gone, or its link came up, until
 * `signal` is aborted. Links without an address, such as those of containers, wake nobody.
 */
export async function watchAddressesIn(
  network: Prefix,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  const overlaps = overlapWith(network);
  const concerns = ({ type, data }: { readonly type: number; readonly data: Buffer }): boolean => {
    const [, length = 32, , , table, protocol] = data;
    const isRoute = type === NEWROUTE;
    if (
      isRoute ? table === LOCAL_TABLE || protocol !== KERNEL_PROTOCOL : type !== NEWADDR && type !== DELADDR
    )
      return false;
    const at = isRoute ? ROUTE_HEADER_BYTES : HEADER_BYTES;
    const prefix = attributeOf(data, at, isRoute ? RTA_DST : IFA_ADDRESS);
    return prefix?.length === 4 && overlaps(length, bitsOf(prefix));
  };
  const socket = openEventSocket(Protocol.ROUTE, 'watch the addresses');
  try {
    socket.on('error', onChange);
    socket.on('invalid', onChange);
    socket.on('message', (messages) => {
      if (messages.some(concerns)) onChange();
    });
    const { port } = socket.address();
    const bits = bitsOf(addressBytes(network.address));
    createEventFilter(ROUTING, port, signal)(formatAddressFilter(bits, network.length));
    for (const group of [IPV4_IFADDR, IPV4_ROUTE]) socket.addMembership(group);
    silenceOverrun(ROUTING, port, signal).catch(() => undefined);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    socket.close();
  }
}

/** Looks up the routes that packets to these addresses take, by the rules and tables of every program. */
export async function readRoutesTowards(
  socket: RtNetlinkSocket,
  addresses: readonly string[],
): Promise<(HostRoute | undefined)[]> {
  const linkOf = createLinkReader(socket);
  const found: (HostRoute | undefined)[] = [];
  for (const address of addresses) {
    const route = await readRouteTo(socket, address);
    const link = route && (await linkOf(route.index));
    found.push(route && link && { dev: link.name, via: route.via, length: route.length, table: route.table });
  }
  return found;
}

// The answer is the entry of the table, and not a route of the one address, and it names its table.
const RTM_F_LOOKUP_TABLE = 0x1000;
const RTM_F_FIB_MATCH = 0x2000;

async function readRouteTo(
  socket: RtNetlinkSocket,
  address: string,
): Promise<(Omit<HostRoute, 'dev'> & { readonly index: number }) | undefined> {
  const { GETROUTE } = rt.MessageType;
  const header = [IPV4, 32, 0, 0, 0, 0, 0, 0, ...u32(RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH)];
  const request = formatPayload(header, [[RTA_DST, addressBytes(address)]]);
  try {
    const [[answer]] = await socket.socket.request(GETROUTE, [request], BOUNDED);
    const message = answer && rt.parseMessage(answer.type, answer.data);
    if (message?.kind !== 'route') return undefined;
    const { data, attrs } = message;
    const { oif: index, gateway } = attrs;
    return index === undefined
      ? undefined
      : {
          index,
          via: gateway && addressFromBytes([...gateway]),
          length: data.dstLen ?? 0,
          table: attrs.table ?? data.table ?? 0,
        };
  } catch (error) {
    // No route, or one of type unreachable, prohibit or blackhole.
    if (NO_WAY.has(refusalOf(error) ?? '')) return undefined;
    throw error;
  }
}

const NO_WAY: ReadonlySet<string> = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL']);

interface LinkFacts {
  readonly name: string;
  readonly isUp: boolean;
  readonly isBridge: boolean;
}

/** A reader of links by index that asks for each only once. Undefined: the link has gone. */
function createLinkReader(socket: RtNetlinkSocket): (index: number) => Promise<LinkFacts | undefined> {
  const known = new Map<number, LinkFacts | undefined>();
  return async (index) => {
    if (!known.has(index)) known.set(index, await readLink(socket, index));
    return known.get(index);
  };
}

async function readLink(socket: RtNetlinkSocket, index: number): Promise<LinkFacts | undefined> {
  try {
    const [link] = await socket.getLink({ index }, {}, BOUNDED);
    if (link === undefined) return undefined;
    const { linkinfo, ifname = '' } = link.attrs;
    const isBridge = linkinfo !== undefined && ifla.parseInfo(linkinfo).kind === 'bridge';
    return { name: ifname, isUp: link.data.flags?.up === true, isBridge };
  } catch (error) {
    if (refusalOf(error) === 'ENODEV') return undefined;
    throw error;
  }
}

/** Whether the network of an address overlaps this one. */
function overlapWith(network: Prefix): (length: number, address: number) => boolean {
  const bits = bitsOf(addressBytes(network.address));
  return (length, address) => {
    const shift = 32 - Math.min(length, network.length);
    return shift === 32 || address >>> shift === bits >>> shift;
  };
}

function bitsOf(bytes: ArrayLike<number>): number {
  return (((bytes[0] ?? 0) << 24) | ((bytes[1] ?? 0) << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) >>> 0;
}

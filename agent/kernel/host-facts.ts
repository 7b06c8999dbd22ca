// Reads the facts of this machine: its identity, and the interface towards the other hosts.
import { isDeepStrictEqual } from 'node:util';
import type { HostFacts, HostSource } from '../model/host-facts.ts';
import {
  type ChosenInterface,
  chooseInterface,
  type EndInUse,
  endInUse,
  type InterfaceWish,
} from './external-interface.ts';
import { readIdentity } from './identity.ts';
import { type LinksInUse, watchInterfaces } from './netlink/host-monitor.ts';
import { readHostNetwork, readNetworkOf } from './netlink/interfaces.ts';
import { listStrictly } from './netlink/overrun.ts';
import { openRouteSocket, type RtNetlinkSocket } from './netlink/socket.ts';
import { type UnderlayWay, wayFrom } from './underlay-way.ts';

/** IFNAMSIZ - 1 bytes. */
const LONGEST_LINK_NAME = 15;

/** Gives the source of this machine's facts, under the operator's wishes. */
export function createHostSource(wish: InterfaceWish): HostSource {
  // Undefined: the underlay in use is gone, so a change of any link may help.
  const links: LinksInUse = { indexes: undefined, changed: () => undefined };
  const use = (indexes: ReadonlySet<number> | undefined): void => {
    const isSame = isDeepStrictEqual(indexes, links.indexes);
    links.indexes = indexes;
    if (!isSame) links.changed();
  };
  return {
    async read(inUse) {
      try {
        const { facts, way } = await readUnderlay(wish, inUse);
        const isSame = inUse === undefined || inUse.underlay.name === facts.underlay.name;
        use(isSame ? new Set(way.links) : undefined);
        return facts;
      } catch (error) {
        use(undefined);
        throw error;
      }
    },
    watch: (onChange, signal) => watchInterfaces(links, onChange, signal),
  };
}

/** Reads the facts that the agent needs of its machine at its start. Fails as `host`. */
export async function readHostFacts(wish: InterfaceWish): Promise<HostFacts> {
  return (await readUnderlay(wish, undefined)).facts;
}

/** The MAC of the vxlan device of this name; undefined: there is none. Fails as `host`. */
export async function readVxlanMac(name: string): Promise<string | undefined> {
  const socket = openRouteSocket();
  try {
    const { links } = await readNetworkOf(socket, name, { lastAddress: undefined });
    return links.find((link) => link.name === name && link.type === 'vxlan')?.mac;
  } finally {
    socket.socket.close();
  }
}

interface Underlay {
  readonly facts: HostFacts;
  readonly way: UnderlayWay;
}

async function readUnderlay(wish: InterfaceWish, inUse: HostFacts | undefined): Promise<Underlay> {
  const socket = openRouteSocket();
  try {
    // An old kernel lists the things of all links, which are passed over.
    await listStrictly(socket).catch(() => undefined);
    const { end, way } = await readWay(socket, wish, inUse && endOf(inUse));
    const { address, why } = end;
    const { publicIP = address, knownMac } = wish;
    const ipv4 = { address, publicIP, knownMac, onLink: way.onLink };
    return { facts: { node: await readIdentity(way.mac), why, underlay: way.underlay, ends: { ipv4 } }, way };
  } finally {
    socket.socket.close();
  }
}

interface Way {
  readonly end: Omit<ChosenInterface, 'link'>;
  readonly way: UnderlayWay;
}

async function readWay(
  socket: RtNetlinkSocket,
  wish: InterfaceWish,
  inUse: EndInUse | undefined,
): Promise<Way> {
  const { ifaceCanReach: target, lastAddress } = wish;
  // The thousands of other links of a busy host are not read where one link is enough: nearly always all is as it was,
  // and at the start the operator may have named it.
  if (inUse !== undefined) {
    const host = await readNetworkOf(socket, inUse.name, { lastAddress });
    const end = endInUse(host, inUse);
    if (end !== undefined) return { end, way: wayFrom(host, end) };
  } else {
    const named = await readNamed(socket, wish);
    if (named !== undefined) return named;
  }
  const host = await readHostNetwork(socket, { target, lastAddress });
  const end = chooseInterface(wish, host, inUse);
  return { end, way: wayFrom(host, end) };
}

/** The way by the link that the operator has named first; undefined: there is none, or it does not do. */
async function readNamed(socket: RtNetlinkSocket, wish: InterfaceWish): Promise<Way | undefined> {
  const [name] = wish.iface;
  if (name === undefined || Buffer.byteLength(name) > LONGEST_LINK_NAME) return undefined;
  const host = await readNetworkOf(socket, name, { lastAddress: wish.lastAddress });
  if (!host.links.some((link) => link.name === name)) return undefined;
  try {
    const end = chooseInterface({ ...wish, iface: [name], ifaceRegex: [] }, host, undefined);
    return { end, way: wayFrom(host, end) };
  } catch {
    // The next name may do. The error of a choice among all links tells of them.
    return undefined;
  }
}

function endOf({ underlay: { name }, ends, why }: HostFacts): EndInUse | undefined {
  return ends.ipv4 && { name, address: ends.ipv4.address, why };
}

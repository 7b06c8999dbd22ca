// Links: the table of all of them (for names), and those that can be ours in both directions.
import { AttrStream, getMap, ifla, type RtNetlinkSocket, type rt } from 'netlink';
import type { Link, VxlanLink } from '../../model/host-state.ts';
import { addressBytes, addressFromBytes } from '../../model/ip.ts';
import { BOUNDED, CREATE, EXCLUSIVE } from './socket.ts';

/** Names of all links by their index, and back. */
export interface LinkTable {
  readonly nameOf: ReadonlyMap<number, string>;
  readonly indexOf: ReadonlyMap<string, number>;
  /** Those that are ours. */
  readonly own: readonly Link[];
}

// include/uapi/linux/if_link.h
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;

const OWN_VXLAN = /^flannel\.\d+$/;
const OWN_TUN = 'flannel0';

/** Whether links of ours may have that name. */
export function isOwnName(name: string): boolean {
  return OWN_VXLAN.test(name) || name === OWN_TUN;
}

/** All links of the namespace in one dump. */
export async function readLinks(socket: RtNetlinkSocket): Promise<LinkTable> {
  const messages = await socket.getLinks({}, {}, BOUNDED);
  const nameOf = new Map(messages.map(({ data, attrs }) => [data.index ?? 0, attrs.ifname ?? '']));
  return {
    nameOf,
    indexOf: new Map([...nameOf].map(([index, name]) => [name, index])),
    own: messages.flatMap((message) => parseOwnLink(message, nameOf) ?? []),
  };
}

/** The link when it is one of ours: a vxlan device `flannel.` and a number, or the TUN device `flannel0`. */
export function parseOwnLink(message: rt.LinkMessage, nameOf: ReadonlyMap<number, string>): Link | undefined {
  const { data, attrs } = message;
  const name = attrs.ifname ?? '';
  if (attrs.linkinfo === undefined || !isOwnName(name)) return undefined;
  const info = getMap(attrs.linkinfo, (bytes) => bytes);
  const kind = info.get(IFLA_INFO_KIND)?.toString('latin1').replace(/\0$/, '');
  const properties = info.get(IFLA_INFO_DATA);
  const up = data.flags?.up === true;
  const mtuBytes = attrs.mtu ?? 0;
  if (kind === 'tun' && name === OWN_TUN) return { kind: 'link', type: 'tun', name, mtuBytes, up };
  if (kind !== 'vxlan' || name === OWN_TUN || properties === undefined) return undefined;
  const vxlan = ifla.parseVxlan(properties);
  return {
    kind: 'link',
    type: 'vxlan',
    name,
    vni: vxlan.id ?? 0,
    port: vxlan.port?.readUInt16BE(0) ?? 0,
    mtuBytes,
    mac: formatMac(attrs.address),
    local: vxlan.local === undefined ? '' : addressFromBytes([...vxlan.local]),
    underlay: nameOf.get(vxlan.link ?? 0) ?? '',
    learning: vxlan.learning === 1,
    gbp: vxlan.gbp === true,
    up,
  };
}

/** Makes a vxlan device and sets it up. */
export async function addVxlan(
  socket: RtNetlinkSocket,
  link: VxlanLink,
  underlayIndex: number,
): Promise<void> {
  const port = Buffer.alloc(2);
  port.writeUInt16BE(link.port);
  const info = new AttrStream();
  info.push(IFLA_INFO_KIND, Buffer.from('vxlan'));
  info.push(
    IFLA_INFO_DATA,
    ifla.formatVxlan({
      id: link.vni,
      link: underlayIndex,
      local: Buffer.from(addressBytes(link.local)),
      port,
      learning: link.learning ? 1 : 0,
      // The inner packet has its own checksums; RFC 7348 wants a zero one outside.
      udpCsum: 0,
      ...(link.gbp ? { gbp: true } : {}),
    }),
  );
  await socket.newLink(
    { flags: { up: true }, change: { up: true } },
    {
      ifname: link.name,
      mtu: link.mtuBytes,
      address: parseMac(link.mac),
      linkinfo: Buffer.concat(info.bufs),
    },
    { ...BOUNDED, flags: CREATE | EXCLUSIVE },
  );
}

/** Sets what can be changed on a live link: MTU, MAC, up. */
export async function alterLink(socket: RtNetlinkSocket, link: Link, table: LinkTable): Promise<void> {
  const before = table.own.find(({ name }) => name === link.name);
  await socket.setLink(
    { index: table.indexOf.get(link.name) ?? 0, flags: { up: true }, change: { up: true } },
    {
      mtu: link.mtuBytes,
      // Setting the MAC that it has already would make Linux forget the link's neighbours all the same.
      ...(link.type === 'tun' || isAt(before, link.mac) ? {} : { address: parseMac(link.mac) }),
    },
    BOUNDED,
  );
}

function isAt(link: Link | undefined, mac: string): boolean {
  return link?.type === 'vxlan' && link.mac === mac;
}

export async function deleteLink(socket: RtNetlinkSocket, index: number): Promise<void> {
  await socket.delLink({ index }, {}, BOUNDED);
}

/** Six bytes as lower-case hexadecimal with colons; empty for anything else. */
export function formatMac(bytes: Buffer | undefined): string {
  return bytes?.length === 6 ? [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':') : '';
}

export function parseMac(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

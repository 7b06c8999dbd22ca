// Links: the table of all of them (for names), and vxlan devices in both directions.
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

const OWN_NAME = /^flannel\.\d+$/;

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

/** The link when it is one of ours: a vxlan device whose name is `flannel.` and a number. */
export function parseOwnLink(
  message: rt.LinkMessage,
  nameOf: ReadonlyMap<number, string>,
): VxlanLink | undefined {
  const { data, attrs } = message;
  if (attrs.ifname === undefined || !OWN_NAME.test(attrs.ifname) || attrs.linkinfo === undefined)
    return undefined;
  const info = getMap(attrs.linkinfo, (bytes) => bytes);
  const kind = info.get(IFLA_INFO_KIND)?.toString('latin1').replace(/\0$/, '');
  const properties = info.get(IFLA_INFO_DATA);
  if (kind !== 'vxlan' || properties === undefined) return undefined;
  const vxlan = ifla.parseVxlan(properties);
  return {
    kind: 'link',
    type: 'vxlan',
    name: attrs.ifname,
    vni: vxlan.id ?? 0,
    port: vxlan.port?.readUInt16BE(0) ?? 0,
    mtuBytes: attrs.mtu ?? 0,
    mac: formatMac(attrs.address),
    local: vxlan.local === undefined ? '' : addressFromBytes([...vxlan.local]),
    underlay: nameOf.get(vxlan.link ?? 0) ?? '',
    learning: vxlan.learning === 1,
    gbp: vxlan.gbp === true,
    up: data.flags?.up === true,
  };
}

/** Makes a vxlan device and sets it up. */
export async function addLink(
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
      ...(before?.mac === link.mac ? {} : { address: parseMac(link.mac) }),
    },
    BOUNDED,
  );
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

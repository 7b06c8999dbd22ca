// Links: reads our own and those that our objects need, and changes live ones.

import { isOwnName, isOwnType, type Link, macOf } from '../../model/host-state.ts';
import { attributeOf, textOf } from './bytes.ts';
import type { LinkCodec, LinkNames, NameOf } from './codec.ts';
import { LINK_CODECS } from './codecs.ts';
import { AttrStream, ifla, type RtNetlinkSocket, rt } from './library.ts';
import { parseMac } from './mac.ts';
import { formatPayload, u32 } from './payload.ts';
import { BOUNDED, type DumpReader, dump, refusalOf } from './socket.ts';
import { typeOfTun } from './tun-link.ts';

/** Our own links and those that our objects need, at one moment. Other links are not read. */
export interface LinkTable {
  readonly own: readonly Link[];
  readonly names: LinkNames;
  /** Indexes by name of these links. */
  readonly indexOf: ReadonlyMap<string, number>;
  /** The names of links that were looked up. One that has no index does not exist. */
  readonly asked: ReadonlySet<string>;
}

/** Reads our own links, and looks up those of `needed`. A host may have thousands of links of containers. */
export async function readLinks(socket: RtNetlinkSocket, needed: Iterable<string>): Promise<LinkTable> {
  const all = new Map<number, string>();
  const indexOf = new Map<string, number>();
  const add = (index: number, name: string): void => {
    all.set(index, name);
    indexOf.set(name, index);
  };
  const messages: rt.LinkMessage[] = [];
  for (const kind of Object.keys(LINK_CODECS)) {
    messages.push(...(await dump(socket, GETLINK, formatLinkList(kind), OWN_LINKS)));
  }
  for (const { data, attrs } of messages) add(data.index ?? 0, attrs.ifname ?? '');
  for (const message of messages) {
    const underlay = underlayOf(message);
    if (underlay !== 0 && !all.has(underlay)) add(underlay, (await readNameOf(socket, underlay)) ?? '');
  }
  const own = uniqueByName(messages.flatMap((message) => parseOwnLink(message, all) ?? []));
  const ownNames = new Set(own.map(({ name }) => name));
  const asked = new Set([...needed, ...indexOf.keys()]);
  for (const name of asked) {
    const index = indexOf.get(name) ?? (await readIndexOf(socket, name));
    if (index !== undefined) add(index, name);
  }
  const names = { own: new Map([...all].filter(([, name]) => ownNames.has(name))), all };
  return { own, names, indexOf, asked };
}

// A kernel before Linux 4.6 lists all links for each type.
function uniqueByName(links: readonly Link[]): readonly Link[] {
  return [...new Map(links.map((link) => [link.name, link])).values()];
}

const { GETLINK } = rt.MessageType;
// include/uapi/linux/if_link.h
const [IFLA_IFNAME, IFLA_LINKINFO, IFLA_EXT_MASK] = [3, 18, 29];
const IFLA_INFO_KIND = 1;
const SKIP_STATISTICS = 8;
const LINK_HEADER_BYTES = 16;

const OWN_LINKS: DumpReader<rt.LinkMessage> = {
  mayMatter: (data) => isOwnName(nameIn(data)),
  read: (message) => (message.kind === 'link' ? message : undefined),
};

/** The name of the link in the bytes of a message about it. */
export function nameIn(data: Buffer): string {
  const name = attributeOf(data, LINK_HEADER_BYTES, IFLA_IFNAME);
  return name === undefined ? '' : textOf(name);
}

/** The index of the link in the bytes of a message about it. */
export function indexIn(data: Buffer): number {
  return data.readInt32LE(4);
}

function formatLinkList(kind: string): Buffer {
  const ofKind = formatPayload([], [[IFLA_INFO_KIND, [...Buffer.from(`${kind}\0`)]]]);
  return formatPayload(
    [...Buffer.alloc(LINK_HEADER_BYTES)],
    [
      [IFLA_EXT_MASK, u32(SKIP_STATISTICS)],
      [IFLA_LINKINFO, [...ofKind]],
    ],
  );
}

/** Looks up the name of a link; undefined: there is none with this index. */
export async function readNameOf(socket: RtNetlinkSocket, index: number): Promise<string | undefined> {
  const message = await readLink(socket, { index }, {});
  return message && nameIn(message);
}

async function readIndexOf(socket: RtNetlinkSocket, name: string): Promise<number | undefined> {
  const message = await readLink(socket, {}, { ifname: name });
  return message && indexIn(message);
}

async function readLink(
  socket: RtNetlinkSocket,
  data: rt.LinkMessage['data'],
  attrs: rt.LinkMessage['attrs'],
): Promise<Buffer | undefined> {
  const request = new AttrStream();
  rt.formatLinkMessage({ kind: 'link', data, attrs }, request);
  try {
    const [messages] = await socket.socket.request(GETLINK, request.bufs, BOUNDED);
    return messages[0]?.data;
  } catch (error) {
    if (refusalOf(error) === 'ENODEV') return undefined;
    throw error;
  }
}

function underlayOf({ attrs }: rt.LinkMessage): number {
  const info = attrs.linkinfo && ifla.parseInfo(attrs.linkinfo);
  return info?.kind === 'vxlan' && info.data !== undefined ? (ifla.parseVxlan(info.data).link ?? 0) : 0;
}

/** The link when it is ours by its name and its type; undefined for every other link. */
export function parseOwnLink(message: rt.LinkMessage, nameOf: NameOf): Link | undefined {
  const { data, attrs } = message;
  const name = attrs.ifname ?? '';
  if (attrs.linkinfo === undefined || !isOwnName(name)) return undefined;
  const info = ifla.parseInfo(attrs.linkinfo);
  if (info.kind === undefined || !isOwnType(info.kind, name)) return undefined;
  const base = { kind: 'link', name, mtuBytes: attrs.mtu ?? 0, up: data.flags?.up === true } as const;
  return LINK_CODECS[info.kind].parse({ base, attrs, data: info.data }, nameOf);
}

/** The type of a link, as `ip` calls it; undefined: there is none, or it has none. */
export async function readLinkType(socket: RtNetlinkSocket, name: string): Promise<string | undefined> {
  const bytes = await readLink(socket, {}, { ifname: name });
  const message = bytes && rt.parseMessage(rt.MessageType.NEWLINK, bytes);
  const info = message?.kind === 'link' ? message.attrs.linkinfo : undefined;
  const { kind, data } = info === undefined ? {} : ifla.parseInfo(info);
  return kind === 'tun' ? typeOfTun(data) : kind;
}

/** Makes the link and sets it up. `underlay` is the index of its underlay, 0 where it has none. */
export function makeLink(socket: RtNetlinkSocket, link: Link, underlay: number): Promise<void> {
  const codec: LinkCodec<Link> = LINK_CODECS[link.type];
  return codec.make(socket, link, underlay);
}

/** Sets the properties that Linux can change on a live link: MTU, MAC and state, and those of its type. */
export async function alterLink(socket: RtNetlinkSocket, link: Link, table: LinkTable): Promise<void> {
  const before = table.own.find(({ name }) => name === link.name);
  const codec: LinkCodec<Link> = LINK_CODECS[link.type];
  if (before?.type === link.type) await codec.alter?.(before);
  const mac = macOf(link);
  // Linux forgets the neighbours of a link whenever its MAC is set, even to the same one.
  const isNewMac = mac !== undefined && (before === undefined || macOf(before) !== mac);
  await socket.setLink(
    { index: table.indexOf.get(link.name) ?? 0, flags: { up: true }, change: { up: true } },
    { mtu: link.mtuBytes, ...(isNewMac ? { address: parseMac(mac) } : {}) },
    BOUNDED,
  );
}

/** Deletes the link with this index, and everything on it. */
export async function deleteLink(socket: RtNetlinkSocket, index: number): Promise<void> {
  await socket.delLink({ index }, {}, BOUNDED);
}

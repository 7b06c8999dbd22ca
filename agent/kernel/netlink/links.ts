// Links: reads the table of all of them, parses our own, and changes live ones.

import { isOwnName, isOwnType, type Link, macOf } from '../../model/host-state.ts';
import type { LinkCodec, LinkNames, NameOf } from './codec.ts';
import { LINK_CODECS } from './codecs.ts';
import { ifla, type RtNetlinkSocket, type rt } from './library.ts';
import { parseMac } from './mac.ts';
import { BOUNDED } from './socket.ts';

/** The links of the namespace at one moment. */
export interface LinkTable {
  readonly own: readonly Link[];
  readonly names: LinkNames;
  /** Indexes of all links by name. */
  readonly indexOf: ReadonlyMap<string, number>;
}

/** Reads all links of the namespace in one dump. */
export async function readLinks(socket: RtNetlinkSocket): Promise<LinkTable> {
  const messages = await socket.getLinks({}, {}, BOUNDED);
  const all = new Map(messages.map(({ data, attrs }) => [data.index ?? 0, attrs.ifname ?? '']));
  const own = messages.flatMap((message) => parseOwnLink(message, all) ?? []);
  const ownNames = new Set(own.map(({ name }) => name));
  return {
    own,
    names: { own: new Map([...all].filter(([, name]) => ownNames.has(name))), all },
    indexOf: new Map([...all].map(([index, name]) => [name, index])),
  };
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

/** Makes the link and sets it up. `underlay` is the index of its underlay, 0 where it has none. */
export function makeLink(socket: RtNetlinkSocket, link: Link, underlay: number): Promise<void> {
  const codec: LinkCodec<Link> = LINK_CODECS[link.type];
  return codec.make(socket, link, underlay);
}

/** Sets the properties that Linux can change on a live link of every type: MTU, MAC and state. */
export async function alterLink(socket: RtNetlinkSocket, link: Link, table: LinkTable): Promise<void> {
  const before = table.own.find(({ name }) => name === link.name);
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

// The codecs of permanent neighbours (which MAC has this address) and of fdb entries (which host has this MAC). The
// kernel keeps both in messages of one kind and tells them apart by their family.

import { addressBytes, addressFromBytes } from '../../model/ip.ts';
import type { FdbEntry } from '../../model/kinds/fdb-entry.ts';
import type { Neighbour } from '../../model/kinds/neighbour.ts';
import type { EntryCodec } from './codec.ts';
import { rt } from './library.ts';
import { formatMac, parseMac } from './mac.ts';
import { type Attribute, formatPayload, u16, u32 } from './payload.ts';
import { BRIDGE, IPV4 } from './socket.ts';

const { NEWNEIGH, DELNEIGH, GETNEIGH } = rt.MessageType;
// include/uapi/linux/neighbour.h
const NUD_PERMANENT = 0x80;
const NTF_SELF = 2;
const [NDA_DST, NDA_LLADDR, NDA_IFINDEX] = [1, 2, 8];

const REQUESTS = { add: NEWNEIGH, delete: DELNEIGH, list: GETNEIGH };

export const neighbourCodec: EntryCodec<Neighbour> = {
  plural: 'neighbours',
  links: 'own',
  requests: REQUESTS,
  list: (index) => formatList(IPV4, index),
  mayBeOurs: (data, own) => data[0] === IPV4 && own.has(indexOf(data)),
  parse(message, nameOf) {
    if (!isNeighbor(message, IPV4)) return undefined;
    const { dst, lladdr } = message.attrs;
    const dev = nameOf.get(message.data.ifindex ?? 0);
    if (dev === undefined || dst?.length !== 4) return undefined;
    return { kind: 'neigh', address: addressFromBytes([...dst]), mac: formatMac(lladdr), dev };
  },
  isOurs: isPermanent,
  encode: ({ address, mac }, index) => format(IPV4, index, 0, attributesOf(address, mac)),
};

export const fdbCodec: EntryCodec<FdbEntry> = {
  plural: 'forwarding entries',
  links: 'own',
  requests: REQUESTS,
  list: (index) => formatList(BRIDGE, index),
  mayBeOurs: (data, own) => data[0] === BRIDGE && own.has(indexOf(data)),
  parse(message, nameOf) {
    if (!isNeighbor(message, BRIDGE)) return undefined;
    const { dst, lladdr } = message.attrs;
    const dev = nameOf.get(message.data.ifindex ?? 0);
    if (dev === undefined || dst?.length !== 4) return undefined;
    return { kind: 'fdb', mac: formatMac(lladdr), dst: addressFromBytes([...dst]), dev };
  },
  isOurs: isPermanent,
  // The vxlan device's own table, not a bridge's.
  encode: ({ mac, dst }, index) => format(BRIDGE, index, NTF_SELF, attributesOf(dst, mac)),
};

function isNeighbor(message: rt.Message, family: number): message is rt.NeighborMessage {
  return message.kind === 'neighbor' && message.data.family === family;
}

function isPermanent(message: rt.Message): boolean {
  return message.kind === 'neighbor' && message.data.state?.permanent === true;
}

function attributesOf(address: string, mac: string): readonly Attribute[] {
  return [
    [NDA_DST, addressBytes(address)],
    [NDA_LLADDR, [...parseMac(mac)]],
  ];
}

/** The index of the link in the bytes of a message of a neighbour, of either family. */
function indexOf(data: Buffer): number {
  return data.readUInt32LE(4);
}

// The kernel takes the link of a listing as an attribute alone.
function formatList(family: number, index: number): Buffer {
  return formatPayload([family, 0, 0, 0, ...u32(0), ...u16(0), 0, 0], [[NDA_IFINDEX, u32(index)]]);
}

// struct ndmsg: family, three bytes of padding, ifindex, state, flags, type.
function format(family: number, index: number, flags: number, attributes: readonly Attribute[]): Buffer {
  return formatPayload([family, 0, 0, 0, ...u32(index), ...u16(NUD_PERMANENT), flags, 0], attributes);
}

// The codecs of permanent neighbours (which MAC has this address) and of fdb entries (which host has this MAC). The
// kernel keeps both in messages of one kind and tells them apart by their family.

import { addressBytes, addressFromBytes } from '../../model/ip.ts';
import type { FdbEntry } from '../../model/kinds/fdb-entry.ts';
import type { Neighbour } from '../../model/kinds/neighbour.ts';
import type { EntryCodec } from './codec.ts';
import { AttrStream, rt } from './library.ts';
import { formatMac, parseMac } from './mac.ts';
import { BRIDGE, IPV4 } from './socket.ts';

const { NEWNEIGH, DELNEIGH, GETNEIGH } = rt.MessageType;
const REQUESTS = { add: NEWNEIGH, delete: DELNEIGH, list: GETNEIGH };

export const neighbourCodec: EntryCodec<Neighbour> = {
  plural: 'neighbours',
  links: 'own',
  requests: REQUESTS,
  listAll: () => format({ family: IPV4 }, {}),
  parse(message, nameOf) {
    if (!isNeighbor(message, IPV4)) return undefined;
    const { dst, lladdr } = message.attrs;
    const dev = nameOf.get(message.data.ifindex ?? 0);
    if (dev === undefined || dst?.length !== 4) return undefined;
    return { kind: 'neigh', address: addressFromBytes([...dst]), mac: formatMac(lladdr), dev };
  },
  isOurs: isPermanent,
  encode: ({ address, mac }, ifindex) =>
    format({ family: IPV4, ifindex, state: { permanent: true } }, attrsOf(address, mac)),
};

export const fdbCodec: EntryCodec<FdbEntry> = {
  plural: 'forwarding entries',
  links: 'own',
  requests: REQUESTS,
  listAll: () => format({ family: BRIDGE }, {}),
  parse(message, nameOf) {
    if (!isNeighbor(message, BRIDGE)) return undefined;
    const { dst, lladdr } = message.attrs;
    const dev = nameOf.get(message.data.ifindex ?? 0);
    if (dev === undefined || dst?.length !== 4) return undefined;
    return { kind: 'fdb', mac: formatMac(lladdr), dst: addressFromBytes([...dst]), dev };
  },
  isOurs: isPermanent,
  // `self` means the vxlan device's own table, not a bridge's.
  encode: ({ mac, dst }, ifindex) =>
    format({ family: BRIDGE, ifindex, state: { permanent: true }, flags: { self: true } }, attrsOf(dst, mac)),
};

function isNeighbor(message: rt.Message, family: number): message is rt.NeighborMessage {
  return message.kind === 'neighbor' && message.data.family === family;
}

function isPermanent(message: rt.Message): boolean {
  return message.kind === 'neighbor' && message.data.state?.permanent === true;
}

function attrsOf(address: string, mac: string): rt.NeighborMessage['attrs'] {
  return { dst: Buffer.from(addressBytes(address)), lladdr: parseMac(mac) };
}

function format(data: rt.NeighborMessage['data'], attrs: rt.NeighborMessage['attrs']): AttrStream {
  const payload = new AttrStream();
  rt.formatNeighborMessage({ kind: 'neighbor', data, attrs }, payload);
  return payload;
}

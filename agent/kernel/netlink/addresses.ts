// The codec of IPv4 addresses.

import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import type { LinkAddress } from '../../model/kinds/link-address.ts';
import type { EntryCodec } from './codec.ts';
import { AttrStream, type RtNetlinkSocket, rt } from './library.ts';
import { BOUNDED, IPV4 } from './socket.ts';

/** Reads all IPv4 addresses of the namespace. */
export function readAddresses(socket: RtNetlinkSocket): Promise<rt.AddressMessage[]> {
  return socket.getAddresses({ family: IPV4 }, {}, BOUNDED);
}

const { NEWADDR, DELADDR, GETADDR } = rt.MessageType;

export const addressCodec: EntryCodec<LinkAddress> = {
  plural: 'addresses',
  links: 'own',
  requests: { add: NEWADDR, delete: DELADDR, list: GETADDR },
  listAll: () => format({ family: IPV4 }, {}),
  parse(message, nameOf) {
    if (message.kind !== 'address') return undefined;
    const { data, attrs } = message;
    const dev = nameOf.get(data.index ?? 0);
    const local = attrs.local ?? attrs.address;
    if (data.family !== IPV4 || dev === undefined || local?.length !== 4) return undefined;
    return { kind: 'addr', prefix: `${addressFromBytes([...local])}/${data.prefixlen}`, dev };
  },
  isOurs: () => true,
  encode(entry, index) {
    const prefix = parsePrefix(entry.prefix);
    if (prefix === undefined) throw new Error(`not a prefix: ${entry.prefix}`);
    const bytes = Buffer.from(addressBytes(prefix.address));
    const data = { family: IPV4, prefixlen: prefix.length, index, scope: 0 };
    return format(data, { local: bytes, address: bytes });
  },
};

function format(data: rt.Address, attrs: rt.AddressMessage['attrs']): AttrStream {
  const payload = new AttrStream();
  rt.formatAddressMessage({ kind: 'address', data, attrs }, payload);
  return payload;
}

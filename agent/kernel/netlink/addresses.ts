// The codec of IPv4 addresses.

import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import type { LinkAddress } from '../../model/kinds/link-address.ts';
import { attributeOf, textOf } from './bytes.ts';
import type { EntryCodec } from './codec.ts';
import { rt } from './library.ts';
import { type Attribute, formatPayload, u32 } from './payload.ts';
import { IPV4 } from './socket.ts';

// include/uapi/linux/if_addr.h
const [IFA_ADDRESS, IFA_LOCAL, IFA_LABEL] = [1, 2, 3];
const HEADER_BYTES = 8;

const { NEWADDR, DELADDR, GETADDR } = rt.MessageType;

export const addressCodec: EntryCodec<LinkAddress> = {
  plural: 'addresses',
  links: 'own',
  requests: { add: NEWADDR, delete: DELADDR, list: GETADDR },
  list: (index) => format(0, index, []),
  mayBeOurs: (data, own) => data[0] === IPV4 && own.has(data.readUInt32LE(4)),
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
    const bytes = addressBytes(prefix.address);
    return format(prefix.length, index, [
      [IFA_ADDRESS, bytes],
      [IFA_LOCAL, bytes],
    ]);
  },
};

/** The name of the link in the bytes of a message about an address. A label such as `eth0:1` begins with it. */
export function linkNameIn(data: Buffer): string | undefined {
  const label = attributeOf(data, HEADER_BYTES, IFA_LABEL);
  return label === undefined ? undefined : textOf(label).split(':', 1)[0];
}

// struct ifaddrmsg: family, prefixlen, flags, scope, index.
function format(length: number, index: number, attributes: readonly Attribute[]): Buffer {
  return formatPayload([IPV4, length, 0, 0, ...u32(index)], attributes);
}

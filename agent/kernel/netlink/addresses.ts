// IPv4 addresses of links.
import type { RtNetlinkSocket, rt } from 'netlink';
import type { LinkAddress } from '../../model/host-state.ts';
import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import { BOUNDED, CREATE, IPV4, REPLACE } from './socket.ts';

/** All IPv4 addresses of the namespace. */
export function readAddresses(socket: RtNetlinkSocket): Promise<rt.AddressMessage[]> {
  return socket.getAddresses({ family: IPV4 }, {}, BOUNDED);
}

/** The address as an object; undefined for other families or a link without a name. */
export function parseLinkAddress(
  message: rt.AddressMessage,
  nameOf: ReadonlyMap<number, string>,
): LinkAddress | undefined {
  const { data, attrs } = message;
  const dev = nameOf.get(data.index ?? 0);
  const local = attrs.local ?? attrs.address;
  if (data.family !== IPV4 || dev === undefined || local?.length !== 4) return undefined;
  return { kind: 'addr', prefix: `${addressFromBytes([...local])}/${data.prefixlen}`, dev };
}

export async function addAddress(socket: RtNetlinkSocket, object: LinkAddress, index: number): Promise<void> {
  const { data, attrs } = encode(object, index);
  await socket.newAddress(data, attrs, { ...BOUNDED, flags: CREATE | REPLACE });
}

export async function deleteAddress(
  socket: RtNetlinkSocket,
  object: LinkAddress,
  index: number,
): Promise<void> {
  const { data, attrs } = encode(object, index);
  await socket.delAddress(data, attrs, BOUNDED);
}

function encode(object: LinkAddress, index: number): { data: rt.Address; attrs: rt.AddressAttrs } {
  const prefix = parsePrefix(object.prefix);
  if (prefix === undefined) throw new Error(`not a prefix: ${object.prefix}`);
  const bytes = Buffer.from(addressBytes(prefix.address));
  return {
    data: { family: IPV4, prefixlen: prefix.length, index, scope: 0 },
    attrs: { local: bytes, address: bytes },
  };
}

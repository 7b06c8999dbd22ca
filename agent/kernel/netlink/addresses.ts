// IPv4 addresses of links.
import { AttrStream, type RtNetlinkSocket, rt } from 'netlink';
import type { LinkAddress } from '../../model/host-state.ts';
import { addressBytes, addressFromBytes, parsePrefix } from '../../model/ip.ts';
import type { BatchRequest } from './batch.ts';
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

/** The request that adds the address, or deletes it. */
export function encodeAddress(object: LinkAddress, index: number, isDelete: boolean): BatchRequest {
  const prefix = parsePrefix(object.prefix);
  if (prefix === undefined) throw new Error(`not a prefix: ${object.prefix}`);
  const bytes = Buffer.from(addressBytes(prefix.address));
  const payload = new AttrStream();
  rt.formatAddressMessage(
    {
      kind: 'address',
      data: { family: IPV4, prefixlen: prefix.length, index, scope: 0 },
      attrs: { local: bytes, address: bytes },
    },
    payload,
  );
  const { NEWADDR, DELADDR } = rt.MessageType;
  return { type: isDelete ? DELADDR : NEWADDR, flags: isDelete ? 0 : CREATE | REPLACE, payload };
}

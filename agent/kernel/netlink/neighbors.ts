// Permanent neighbours (who has this address on the link) and fdb entries (which host has this MAC): the kernel
// keeps both in messages of one kind, told apart by their family.
import { AttrStream, type RtNetlinkSocket, rt } from 'netlink';
import type { FdbEntry, Neighbour } from '../../model/host-state.ts';
import { addressBytes, addressFromBytes } from '../../model/ip.ts';
import type { BatchRequest } from './batch.ts';
import { formatMac, parseMac } from './links.ts';
import { BRIDGE, CREATE, dump, IPV4, REPLACE } from './socket.ts';

type Entry = Neighbour | FdbEntry;

/** The permanent ones of all IPv4 neighbours, then of all fdb entries, on these links. */
export async function readNeighbors(
  socket: RtNetlinkSocket,
  nameOf: ReadonlyMap<number, string>,
): Promise<Entry[]> {
  const readFamily = (family: number): Promise<Entry[]> => {
    const request = new AttrStream();
    rt.formatNeighborMessage({ kind: 'neighbor', data: { family }, attrs: {} }, request);
    return dump(socket, rt.MessageType.GETNEIGH, request, (message) => {
      const parsed = message.kind === 'neighbor' ? parseNeighbor(message, nameOf) : undefined;
      return parsed?.permanent === true ? parsed.entry : undefined;
    });
  };
  return [...(await readFamily(IPV4)), ...(await readFamily(BRIDGE))];
}

/** The entry as an object and whether it is permanent; undefined for kinds that we never make. */
export function parseNeighbor(
  { data, attrs }: rt.NeighborMessage,
  nameOf: ReadonlyMap<number, string>,
): { readonly entry: Entry; readonly permanent: boolean } | undefined {
  const dev = nameOf.get(data.ifindex ?? 0);
  if (dev === undefined || attrs.dst?.length !== 4) return undefined;
  const mac = formatMac(attrs.lladdr);
  const address = addressFromBytes([...attrs.dst]);
  const permanent = data.state?.permanent === true;
  if (data.family === IPV4) return { entry: { kind: 'neigh', address, mac, dev }, permanent };
  if (data.family === BRIDGE) return { entry: { kind: 'fdb', mac, dst: address, dev }, permanent };
  return undefined;
}

/** The request that adds the entry, or replaces the one in its place; or the one that deletes it. */
export function encodeNeighbor(entry: Entry, ifindex: number, isDelete: boolean): BatchRequest {
  const address = entry.kind === 'neigh' ? entry.address : entry.dst;
  const payload = new AttrStream();
  rt.formatNeighborMessage(
    {
      kind: 'neighbor',
      data: {
        family: entry.kind === 'neigh' ? IPV4 : BRIDGE,
        ifindex,
        state: { permanent: true },
        // `self`: the vxlan device's own table, not a bridge's.
        flags: entry.kind === 'fdb' ? { self: true } : {},
      },
      attrs: { dst: Buffer.from(addressBytes(address)), lladdr: parseMac(entry.mac) },
    },
    payload,
  );
  const { NEWNEIGH, DELNEIGH } = rt.MessageType;
  return { type: isDelete ? DELNEIGH : NEWNEIGH, flags: isDelete ? 0 : CREATE | REPLACE, payload };
}

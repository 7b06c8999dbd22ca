// The things that leases claim, so that two nodes never have one. Pure.
//
// Beside the objects that lead to a peer they are the subnets. Where the network covers the underlay, a host may have
// its address in a place where a subnet could be. It claims that place, so that no newer lease leads its packets away.
//
// Subnets of unequal length may overlap. A claim of a whole subnet and one of a part of it conflict, two of parts do
// not. So a subnet also claims to be a part of each larger block of addresses that could be a subnet:
//
//     10.244.1.128/25 claims 10.244.1.128/25 whole and, where subnets of 24 bits are known, a part of 10.244.1.0/24
import { type HostObject, keyOf, macOf } from '../model/host-state.ts';
import {
  containsPrefix,
  type Family,
  formatPrefix,
  hostPrefix,
  networkOf,
  type PerFamily,
  type Prefix,
} from '../model/ip.ts';
import type { Overlay, Peer, Plane } from '../model/plane.ts';
import type { Claim } from './contest.ts';

/** The meaning of a subnet of which others have parts: their own subnets (these claims are keyed), or addresses. */
export const PART = 'part';

/** The lengths of all known subnets. */
export type Lengths = Readonly<Record<Family, ReadonlySet<number>>>;

/** Whether the meaning of a claim is the public address of the node that has the thing, a subnet. */
export function isPublicAddress(meaning: Claim['meaning'] | undefined): meaning is string {
  return typeof meaning === 'string' && meaning !== PART;
}

/** The claims of this node: its subnets, its addresses, and the MACs of its links. */
export function claimsOfHost(
  planes: readonly Plane[],
  overlays: PerFamily<Overlay>,
  objects: readonly HostObject[],
  lengths: Lengths,
): readonly Claim[] {
  const places = planes.flatMap(({ family, subnet, end }) => [
    { thing: `subnet ${formatPrefix(subnet)}`, meaning: end.publicIP },
    ...[end.address, end.publicIP].flatMap((address) => placesOf(overlays[family], address, lengths)),
  ]);
  const macs = objects.flatMap((object): readonly Claim[] => {
    const mac = object.kind === 'link' ? macOf(object) : undefined;
    if (object.kind !== 'link' || mac === undefined) return [];
    return [{ thing: keyOf({ kind: 'fdb', mac, dst: '', dev: object.name }), meaning: 'ours' }];
  });
  return [...places, ...macs];
}

/** The claims of a peer, to which these objects lead. */
export function claimsOfPeer(
  overlay: Overlay,
  { subnet, publicIP }: Peer,
  objects: readonly HostObject[],
  lengths: Lengths,
): readonly Claim[] {
  const larger = [...lengths[subnet.family]].filter((length) => length < subnet.length);
  const parts = blocksAround(subnet, larger).map((thing) => ({ thing, meaning: PART, isKeyed: true }));
  const places = placesOf(overlay, publicIP, lengths);
  return [
    { thing: `subnet ${formatPrefix(subnet)}`, meaning: publicIP, isKeyed: true },
    ...parts,
    ...places.filter(({ thing }) => !parts.some((part) => part.thing === thing)),
    ...objects.map((object) => ({ thing: keyOf(object), meaning: object })),
  ];
}

/** The claims to the subnets that could have the address of a host. */
function placesOf(overlay: Overlay | undefined, address: string, lengths: Lengths): readonly Claim[] {
  const host = hostPrefix(address);
  if (overlay === undefined || !containsPrefix(overlay.network, host)) return [];
  return blocksAround(host, [...lengths[host.family]]).map((thing) => ({ thing, meaning: PART }));
}

/** The blocks of these lengths that have a prefix as a part. */
function blocksAround(prefix: Prefix, lengths: readonly number[]): readonly string[] {
  return lengths.map((length) => `subnet ${formatPrefix(networkOf({ ...prefix, length }))}`);
}

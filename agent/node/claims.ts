// The things that leases claim, so that two nodes never have one. Pure.
//
// Beside the objects that lead to a peer they are the subnets. Where the network covers the underlay, a host may have
// its address in a place where a subnet could be. It claims that place, so that no newer lease leads its packets away.
import { type HostObject, keyOf, macOf } from '../model/host-state.ts';
import { containsAddress, formatPrefix, hostPrefix, networkOf, type PerFamily } from '../model/ip.ts';
import type { Overlay, Peer, Plane } from '../model/plane.ts';
import type { Claim } from './contest.ts';

/** The meaning of a subnet in which a host has its address. */
export const HOSTS = 'hosts';

/** Whether the meaning of a claim is the public address of the node that has the thing, a subnet. */
export function isPublicAddress(meaning: Claim['meaning'] | undefined): meaning is string {
  return typeof meaning === 'string' && meaning !== HOSTS;
}

/** The claims of this node: its subnets, its addresses, and the MACs of its links. */
export function claimsOfHost(
  planes: readonly Plane[],
  overlays: PerFamily<Overlay>,
  objects: readonly HostObject[],
): readonly Claim[] {
  const places = planes.flatMap(({ family, subnet, end }) => [
    { thing: `subnet ${formatPrefix(subnet)}`, meaning: end.publicIP },
    ...[end.address, end.publicIP].flatMap((address) => placeOf(overlays[family], address)),
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
): readonly Claim[] {
  return [
    { thing: `subnet ${formatPrefix(subnet)}`, meaning: publicIP, isKeyed: true },
    ...placeOf(overlay, publicIP),
    ...objects.map((object) => ({ thing: keyOf(object), meaning: object })),
  ];
}

function placeOf(overlay: Overlay | undefined, address: string): readonly Claim[] {
  if (overlay?.subnetLength === undefined || !containsAddress(overlay.network, address)) return [];
  const place = networkOf({ ...hostPrefix(address), length: overlay.subnetLength });
  return [{ thing: `subnet ${formatPrefix(place)}`, meaning: HOSTS }];
}

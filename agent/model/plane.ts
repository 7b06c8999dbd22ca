// A plane is one family's overlay, seen from this node. A backend carries packets between planes of one family.
import type { JsonValue } from '../base/schema.ts';
import type { HostFacts, UnderlayEnd, UnderlayLink } from './host-facts.ts';
import { containsPrefix, FAMILIES, type Family, overlaps, type PerFamily, type Prefix } from './ip.ts';
import type { NodeIdentity } from './lease.ts';

export interface Plane {
  readonly family: Family;
  /** The whole overlay. */
  readonly network: Prefix;
  /** This node's slice of it. */
  readonly subnet: Prefix;
  readonly node: NodeIdentity;
  /** The same link for both families. */
  readonly underlay: UnderlayLink;
  readonly end: UnderlayEnd;
}

/** The part of a plane that decides who is a peer, and that a data plane needs. */
export type CarriedPlane = Pick<Plane, 'family' | 'network' | 'subnet'> & {
  readonly end: Pick<UnderlayEnd, 'address' | 'publicIP'>;
};

/** Another node that uses the same backend, in one family. */
export interface Peer {
  readonly subnet: Prefix;
  /** The address that overlay traffic to it is sent to. */
  readonly publicIP: string;
  /** Its announcement, not yet checked: the form is the backend's. */
  readonly data: JsonValue | undefined;
}

/**
 * Whether a plane may lead traffic to another node. Others write leases, and are not trusted with more than their part
 * of the overlay: a lease outside the network, over our own subnet, or at our own address is no peer's.
 */
export function admitsPeer(
  { network, subnet: own, end }: CarriedPlane,
  { subnet, publicIP }: Pick<Peer, 'subnet' | 'publicIP'>,
): boolean {
  return publicIP !== end.publicIP && containsPrefix(network, subnet) && !overlaps(subnet, own);
}

/** One plane for each family in which this host has an address and the node has a subnet. */
export function planesOf(
  { node, underlay, ends }: HostFacts,
  networks: PerFamily<Prefix>,
  subnets: PerFamily<Prefix>,
): readonly Plane[] {
  return FAMILIES.flatMap((family) => {
    const [network, subnet, end] = [networks[family], subnets[family], ends[family]];
    if (network === undefined || subnet === undefined || end === undefined) return [];
    return [{ family, network, subnet, node, underlay, end }];
  });
}

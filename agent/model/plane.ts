// A plane is one family's overlay, seen from this node. A backend carries packets between planes of one family.
import type { JsonValue } from '../base/schema.ts';
import type { HostFacts, UnderlayEnd, UnderlayLink } from './host-facts.ts';
import {
  containsAddress,
  containsPrefix,
  FAMILIES,
  type Family,
  formatPrefix,
  hostPrefix,
  overlaps,
  type PerFamily,
  type Prefix,
} from './ip.ts';
import type { NodeIdentity } from './lease.ts';

/** The addresses of all nodes, in one family. */
export interface Overlay {
  readonly network: Prefix;
  /** The length of every subnet; undefined: another system assigns subnets of any length. */
  readonly subnetLength: number | undefined;
}

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
 * Why no traffic may be led to a peer's subnet: this host reaches its neighbours, or itself or its datastore, at
 * addresses in it. Undefined: it may be. `datastore`: addresses of the datastore.
 *
 * A subnet within a prefix of the underlay that holds the whole network takes only its own part of that prefix: the
 * operator has put the network there. Any other subnet that overlaps one would take addresses that hosts have.
 */
export function conflictOf(
  { network, underlay, end }: Plane,
  subnet: Prefix,
  datastore: readonly string[],
): string | undefined {
  const text = formatPrefix(subnet);
  const address = [end.address, end.publicIP].find((own) => containsAddress(subnet, own));
  if (address !== undefined) return `${text} contains ${address}, the address of this host`;
  const server = datastore.find((each) => containsAddress(subnet, each));
  if (server !== undefined) return `${text} contains ${server}, an address of the datastore`;
  const taken = end.onLink.find((prefix) => overlaps(prefix, subnet) && !containsPrefix(prefix, network));
  return taken && `${text} overlaps ${formatPrefix(taken)}, whose hosts are on the link of ${underlay.name}`;
}

/**
 * The prefixes that `conflictOf` spares: this host needs their addresses, so a subnet of its own had better lie
 * elsewhere too.
 */
export function sparedPrefixes(
  network: Prefix,
  ends: PerFamily<UnderlayEnd>,
  datastore: readonly string[],
): readonly Prefix[] {
  const end = ends[network.family];
  if (end === undefined) return [];
  const addresses = [end.address, end.publicIP, ...datastore].map(hostPrefix);
  return [...addresses, ...end.onLink.filter((prefix) => !containsPrefix(prefix, network))];
}

/** One plane for each family in which this host has an address and the node has a subnet. */
export function planesOf(
  { node, underlay, ends }: HostFacts,
  overlays: PerFamily<Overlay>,
  subnets: PerFamily<Prefix>,
): readonly Plane[] {
  return FAMILIES.flatMap((family) => {
    const [network, subnet, end] = [overlays[family]?.network, subnets[family], ends[family]];
    if (network === undefined || subnet === undefined || end === undefined) return [];
    return [{ family, network, subnet, node, underlay, end }];
  });
}

// Whether a lease may be that of another node, by what it says alone. Others write leases, and are not trusted with
// more than their part of the overlay. `node/contest.ts` decides between leases that claim one thing. Pure.
import { containsAddress, containsPrefix, formatPrefix, isHostAddress, overlaps } from './ip.ts';
import type { CarriedPlane, Overlay, Peer } from './plane.ts';

type Claimed = Pick<Peer, 'subnet' | 'publicIP'>;

/** Why no node of this overlay can have such a lease; undefined: one can. */
export function misfitOf({ network, subnetLength }: Overlay, claimed: Claimed): string | undefined {
  const { subnet, publicIP } = claimed;
  const text = formatPrefix(subnet);
  if (!containsPrefix(network, subnet)) return `${text} is outside of the network ${formatPrefix(network)}`;
  if (subnetLength !== undefined && subnet.length !== subnetLength)
    return `${text} is not a /${subnetLength}, as all subnets are`;
  if (!isHostAddress(publicIP)) return `${publicIP} is not the address of a host`;
  if (containsAddress(subnet, publicIP)) return `${text} contains ${publicIP}, its own public address`;
  return undefined;
}

/** Why a plane may not lead traffic to such a node, beside `misfitOf`: it would have a part of ours. */
export function intrusionOf({ subnet: own }: CarriedPlane, claimed: Claimed): string | undefined {
  const { subnet, publicIP } = claimed;
  if (overlaps(subnet, own)) return `${formatPrefix(subnet)} overlaps our subnet ${formatPrefix(own)}`;
  if (containsAddress(own, publicIP)) return `${publicIP} is in our subnet ${formatPrefix(own)}`;
  return undefined;
}

// Warns when another node announces the new address of this node.
import type { Logger } from '../base/log.ts';
import type { HostFacts } from '../model/host-facts.ts';
import { formatSubnets, type Lease } from '../model/lease.ts';
import { ownership } from '../model/ownership.ts';

/** Warns of one such node. It may be a former owner of the address that is gone: its lease expires then. */
export function warnOfNamesake(leases: readonly Lease[], { ends, node }: HostFacts, log: Logger): void {
  const publicIP = ends.ipv4?.publicIP;
  if (publicIP === undefined) return;
  const self = { publicIP: { ipv4: publicIP }, node };
  const other = leases.find((lease) => ownership(lease, self) === 'namesake');
  if (other === undefined) return;
  log.warn('another node has announced our new address too: each host needs its own', {
    public_ip: publicIP,
    name: other.attrs.node?.name,
    mac: other.attrs.node?.mac,
    subnet: formatSubnets(other.subnets),
  });
}

// Warns when another node announces the new address of this node.
import type { Logger } from '../base/log.ts';
import type { HostFacts } from '../model/host-facts.ts';
import { FAMILIES } from '../model/ip.ts';
import { formatSubnets, type Lease } from '../model/lease.ts';

/** Warns of one such node a family. It may be a former owner that is gone: its lease expires then. */
export function warnOfNamesake(leases: readonly Lease[], { ends, node }: HostFacts, log: Logger): void {
  for (const family of FAMILIES) {
    const publicIP = ends[family]?.publicIP;
    const other = leases.find(
      ({ attrs }) =>
        publicIP !== undefined &&
        attrs.publicIP[family] === publicIP &&
        attrs.node !== undefined &&
        attrs.node.id !== node.id,
    );
    if (other === undefined) continue;
    log.warn('another node has announced our new address too: each host needs its own', {
      public_ip: publicIP,
      name: other.attrs.node?.name,
      subnet: formatSubnets(other.subnets),
    });
  }
}

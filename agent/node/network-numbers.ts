// The network of a node in numbers, and in one line.
import type { LeaseTable } from '../lease/lease-table.ts';
import type { Backend } from '../model/backend.ts';
import type { HostFacts } from '../model/host-facts.ts';
import { formatPrefix, type PerFamily, type Prefix } from '../model/ip.ts';
import { formatSubnetKey, formatSubnets } from '../model/lease.ts';
import { type Metric, single } from '../model/metrics.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { PeerFaults } from './peer-faults.ts';

export interface NetworkFacts {
  readonly config: NetworkConfig;
  readonly backend: Backend;
  readonly host: { readonly facts: HostFacts };
  readonly table: LeaseTable;
}

/** The subnets and the peers, in one line. `subnets`: those of this node; undefined: it has none. */
export function networkSummary(
  { backend, table }: NetworkFacts,
  subnets: PerFamily<Prefix> | undefined,
): string {
  return `subnet ${formatSubnets(subnets ?? {})}, ${backend.type}, ${countPeers(table, subnets)} peers`;
}

export function networkMetrics(
  { config, backend, host, table }: NetworkFacts,
  subnets: PerFamily<Prefix> | undefined,
  { count: faulty, strangers }: Pick<PeerFaults, 'count' | 'strangers'>,
): readonly Metric[] {
  const { underlay } = host.facts;
  const labels = {
    backend: backend.type,
    network: formatPrefix(config.network),
    subnet: subnets === undefined ? '' : formatSubnets(subnets),
    link: underlay.name,
  };
  const routed = Math.max(0, countPeers(table, subnets) - faulty - strangers);
  const states = { routed, faulty, other_backend: strangers };
  return [
    single('twill_network_info', 1, labels),
    single('twill_mtu_bytes', backend.mtuBytes(underlay)),
    {
      family: 'twill_peers',
      samples: Object.entries(states).map(([state, value]) => ({ value, labels: { state } })),
    },
  ];
}

function countPeers(table: LeaseTable, subnets: PerFamily<Prefix> | undefined): number {
  return table.leaseCount - (table.get(formatSubnetKey(subnets ?? {})) === undefined ? 0 : 1);
}

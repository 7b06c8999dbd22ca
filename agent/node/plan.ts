// What this node's kernel should hold, from everything that is known: the backend's part and our own; and what its
// peers are told. Pure.
import type { OwnAttrs } from '../lease/find-own.ts';
import { peersOf } from '../lease/lease-table.ts';
import type { Backend } from '../model/backend.ts';
import type { HostFacts } from '../model/host-facts.ts';
import type { HostState } from '../model/host-state.ts';
import { formatPrefix, type Prefix } from '../model/ip.ts';
import type { Lease } from '../model/lease.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { NodeOptions } from '../model/node-options.ts';

/** Everything that the host state depends on. */
export interface HostPlanInput {
  readonly options: Pick<NodeOptions, 'blackholeRoute'>;
  readonly host: HostFacts;
  readonly config: NetworkConfig;
  readonly backend: Backend;
  /** Our own subnet. */
  readonly subnet: Prefix;
  /** Everyone's leases. */
  readonly leases: readonly Lease[];
}

/** The host state of this node. Pure. */
export function planHostState({ options, host, config, backend, subnet, leases }: HostPlanInput): HostState {
  const { network } = config;
  const peers = peersOf(leases, network, subnet, host.publicIP);
  const state = backend.plan({ host, network, subnet, peers });
  if (!options.blackholeRoute) return state;
  const dst = formatPrefix(subnet);
  return [...state, { kind: 'route', type: 'blackhole', dst, via: undefined, dev: undefined, onlink: false }];
}

/** What a node tells its peers. Pure. */
export function announcement(backend: Backend, host: HostFacts): OwnAttrs {
  return {
    publicIP: host.publicIP,
    publicIPv6: undefined,
    backendType: backend.type,
    backendData: backend.announce(host),
    backendV6Data: undefined,
    node: host.node,
    extra: {},
  };
}

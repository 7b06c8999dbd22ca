// The part of a node's state that is known once its network is.
import type { LeaseHolder } from '../model/lease-holder.ts';
import type { NodeState } from '../model/status.ts';
import type { FirewallKeeper } from './firewall-keeper.ts';
import type { NodeNetworkDeps } from './network.ts';
import type { PeerFaults } from './peer-faults.ts';

export type NetworkState = Pick<
  NodeState,
  'config' | 'backend' | 'subnets' | 'term' | 'firewall' | 'peerConditions'
>;

export function networkState(
  { config, backend }: Pick<NodeNetworkDeps, 'config' | 'backend'>,
  holder: LeaseHolder,
  firewall: FirewallKeeper | undefined,
  faults: PeerFaults,
): NetworkState {
  return {
    config,
    backend,
    subnets: holder.subnets,
    term: holder.term(),
    firewall: firewall?.state(),
    peerConditions: faults.conditions(),
  };
}

/** Before the network's configuration is known. */
export const NO_NETWORK: NetworkState = {
  config: undefined,
  backend: undefined,
  subnets: undefined,
  term: undefined,
  firewall: undefined,
  peerConditions: [],
};

// Plans the host state of this node in one go, and the node's announcement to its peers. Pure.
import type { Backend } from '../model/backend.ts';
import type { HostFacts } from '../model/host-facts.ts';
import type { HostState } from '../model/host-state.ts';
import { FAMILIES, type PerFamily, type Prefix } from '../model/ip.ts';
import type { Lease } from '../model/lease.ts';
import type { OwnAttrs } from '../model/lease-holder.ts';
import type { LeaseSource } from '../model/lease-source.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { NodeOptions } from '../model/node-options.ts';
import type { Overlay } from '../model/plane.ts';
import { createPlanner } from './planner.ts';

/** Everything that the host state depends on. */
export interface HostPlanInput {
  readonly options: Pick<NodeOptions, 'blackholeRoute' | 'datastoreAddresses'>;
  readonly host: HostFacts;
  readonly config: NetworkConfig;
  readonly backend: Backend;
  /** Our own subnets. */
  readonly subnets: PerFamily<Prefix>;
  /** Default: as configured. */
  readonly lengths?: LeaseSource['lengths'];
  /** Everyone's leases. */
  readonly leases: readonly Lease[];
}

/** The overlays of a network. */
export function overlaysOf(
  { network, subnetLength }: NetworkConfig,
  lengths: LeaseSource['lengths'],
): PerFamily<Overlay> {
  return { ipv4: { network, subnetLength: lengths === 'any' ? undefined : subnetLength } };
}

/** The host state of this node, in one go. Pure. */
export function planHostState(input: HostPlanInput): HostState {
  const { options, host, config, backend, subnets, lengths = 'configured', leases } = input;
  const { blackholeRoute, datastoreAddresses: datastore = [] } = options;
  const overlays = overlaysOf(config, lengths);
  const planner = createPlanner({ backend, overlays, blackholeRoute, datastore });
  planner.plan(host, subnets, leases);
  return planner.state();
}

/** The node's announcement to its peers. Pure. */
export function announcement(backend: Backend, { node, ends }: HostFacts): OwnAttrs {
  const publicIP: { -readonly [F in keyof OwnAttrs['publicIP']]: string } = {};
  const backendData: { -readonly [F in keyof OwnAttrs['backendData']]: OwnAttrs['backendData'][F] } = {};
  for (const family of FAMILIES) {
    const end = ends[family];
    if (end === undefined) continue;
    publicIP[family] = end.publicIP;
    const data = backend.announce(node, end);
    if (data !== undefined) backendData[family] = data;
  }
  return { publicIP, backendType: backend.type, backendData, node, extra: {} };
}

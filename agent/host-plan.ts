// What this node's kernel should hold, from everything that is known: the backend's part and our own. And `twill
// plan`, which computes the same and changes nothing.
import { createBackend } from '../backends/index.ts';
import { systemClock } from './base/clock.ts';
import { TwillError } from './base/errors.ts';
import { createLogger } from './base/log.ts';
import { systemRandom } from './base/random.ts';
import { openLeaseStore } from './datastore/open-store.ts';
import { readPreviousSubnet } from './handoff/subnet-env.ts';
import { readHostFacts } from './kernel/host-facts.ts';
import { chooseSubnet, describeTaken, mayKeep, ownership } from './lease/allocator.ts';
import { createLeaseTable, type LeaseTable, peersOf } from './lease/lease-table.ts';
import type { Backend } from './model/backend.ts';
import type { HostFacts } from './model/host-facts.ts';
import { formatHostState, type HostState } from './model/host-state.ts';
import { formatPrefix, type Prefix } from './model/ip.ts';
import type { Lease } from './model/lease.ts';
import type { LeaseStore } from './model/lease-store.ts';
import { type NetworkConfig, parseNetworkConfig } from './model/network-config.ts';
import type { AgentOptions } from './options.ts';

/** Everything that the host state depends on. */
export interface HostPlanInput {
  readonly options: Pick<AgentOptions, 'blackholeRoute'>;
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

/** The text of `twill plan`: a comment on the lease, then the host state. Takes no lease and changes nothing. */
export async function planHost(options: AgentOptions, signal: AbortSignal): Promise<string> {
  const host = await readHostFacts(options, options.publicIP);
  const log = createLogger('twill', 'warn');
  await using store = await openLeaseStore(options.datastore, {
    clock: systemClock,
    random: systemRandom,
    log,
  });
  const table = await readTable(store, signal);
  if (table.config === undefined) {
    throw new TwillError('config', `no network configuration at ${store.configPath}`, {
      hint: store.configHint,
    });
  }
  const config = parseNetworkConfig(table.config, store.configPath);
  const backend = await createBackend(config.backend, store.configPath);
  const leases = table.leases;
  const own = leases.find(
    (lease) => ownership(lease, host.publicIP, host.node) === 'ours' && mayKeep(lease, config),
  );
  const taken = leases.map((lease) => lease.subnet);
  const subnet =
    own?.subnet ?? chooseSubnet(config, taken, await readPreviousSubnet(options.subnetFile), systemRandom);
  if (subnet === undefined) throw new TwillError('exhausted', describeTaken(config, leases));
  const how = own === undefined ? 'free, not taken by this command' : 'ours';
  return [
    `# network ${formatPrefix(config.network)}, backend ${backend.type}, subnet ${formatPrefix(subnet)} (${how}), mtu ${backend.mtuBytes(host)}\n`,
    formatHostState(planHostState({ options, host, config, backend, subnet, leases })),
  ].join('');
}

async function readTable(store: LeaseStore, signal: AbortSignal): Promise<LeaseTable> {
  const table = createLeaseTable();
  const stop = new AbortController();
  for await (const event of store.watch(AbortSignal.any([signal, stop.signal]))) {
    if (event.type === 'disconnected') throw event.error;
    table.apply(event);
    if (table.isComplete) break;
  }
  stop.abort();
  signal.throwIfAborted();
  return table;
}

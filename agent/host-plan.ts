// `twill plan`: what the agent would make of this host, computed in the same way and changing nothing.
import { readNetwork } from '../backends/index.ts';
import { systemClock } from './base/clock.ts';
import { TwillError } from './base/errors.ts';
import { createLogger } from './base/log.ts';
import { systemRandom } from './base/random.ts';
import { openLeaseStore } from './datastore/open-store.ts';
import { readPreviousSubnet } from './handoff/subnet-env.ts';
import { readHostFacts } from './kernel/host-facts.ts';
import { chooseSubnet, describeTaken, mayKeep, ownership } from './lease/allocator.ts';
import { createLeaseTable, type LeaseTable } from './lease/lease-table.ts';
import { formatHostState } from './model/host-state.ts';
import { formatPrefix } from './model/ip.ts';
import type { LeaseStore } from './model/lease-store.ts';
import { announcement, planHostState } from './node/plan.ts';
import type { AgentOptions } from './options.ts';

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
  const { config, backend } = await readNetwork(table.config, store.configPath);
  const leases = table.leases;
  const announced = announcement(backend, host);
  const own = leases.find(
    (lease) => ownership(lease, announced.publicIP, host.node) === 'ours' && mayKeep(lease, config),
  );
  const taken = leases.flatMap(({ subnets }) => subnets[4] ?? []);
  const subnet =
    own?.subnets[4] ??
    chooseSubnet(config, taken, await readPreviousSubnet(options.subnetFile), systemRandom);
  if (subnet === undefined) throw new TwillError('exhausted', describeTaken(config, leases));
  const how = own === undefined ? 'free, not taken by this command' : 'ours';
  return [
    `# network ${formatPrefix(config.network)}, backend ${backend.type}, subnet ${formatPrefix(subnet)} (${how}), mtu ${backend.mtuBytes(host.underlay)}\n`,
    formatHostState(planHostState({ options, host, config, backend, subnets: { 4: subnet }, leases })),
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

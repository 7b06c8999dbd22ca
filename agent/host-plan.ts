// `twill plan` prints the host state that the agent would want on this host. It claims no lease and changes nothing.
import { readNetwork } from '../backends/index.ts';
import { systemClock as clock } from './base/clock.ts';
import { TwillError } from './base/errors.ts';
import { createLogger, type Logger } from './base/log.ts';
import { printable } from './base/printable.ts';
import { type Random, systemRandom as random } from './base/random.ts';
import { readPreviousSubnet } from './handoff/subnet-env.ts';
import { diff, formatChange } from './kernel/diff.ts';
import { readHostFacts } from './kernel/host-facts.ts';
import { openNetlinkKernel } from './kernel/netlink-kernel.ts';
import { exhausted } from './lease/allocator.ts';
import { type Choice, choose } from './lease/choose.ts';
import { createLeaseTable, type LeaseTable } from './lease/lease-table.ts';
import type { Backend } from './model/backend.ts';
import { requireConfig } from './model/config-source.ts';
import type { HostFacts } from './model/host-facts.ts';
import { formatHostState, type HostState, keyOf, recognize } from './model/host-state.ts';
import { formatPrefix, type PerFamily, type Prefix } from './model/ip.ts';
import { formatSubnets, type Lease } from './model/lease.ts';
import type { LeaseSource } from './model/lease-source.ts';
import type { NetworkConfig } from './model/network-config.ts';
import type { NodeOptions } from './model/node-options.ts';
import { sparedPrefixes } from './model/plane.ts';
import { announcement, type HostPlanInput, planHostState } from './node/plan.ts';
import { type OpenLeases, openLeases } from './open-leases.ts';
import type { AgentOptions } from './options.ts';

/** The text of `twill plan` for this host. */
export async function planHost(options: AgentOptions, signal: AbortSignal): Promise<string> {
  return formatPlan(await readPlan(options, signal));
}

/** The text of `twill plan --diff` for this host, where no agent runs: the comment, and a line for each change. */
export async function planChanges(
  options: AgentOptions,
  signal: AbortSignal,
): Promise<{ readonly comment: string; readonly changes: readonly string[] }> {
  const { comment, state } = await readPlan(options, signal);
  await using kernel = openNetlinkKernel();
  const wanted = new Map(state.map((object) => [keyOf(object), object]));
  const actual = (await kernel.read(signal)).map((object) => recognize(wanted, object));
  return { comment, changes: diff(state, actual).map(formatChange) };
}

/** A planned host state, and a comment line on its lease. */
export interface HostPlan {
  readonly comment: string;
  readonly state: HostState;
}

export function formatPlan({ comment, state }: HostPlan): string {
  return `${comment}${formatHostState(state)}`;
}

async function readPlan(options: AgentOptions, signal: AbortSignal): Promise<HostPlan> {
  const log = createLogger('twill', { ...options.log, level: 'warn' });
  const onFailure = (error: TwillError): never => {
    throw error;
  };
  await using store = await openLeases(options, { clock, random, log, onFailure }, signal);
  const { leaseSource, configSource, addresses, knownMac, publicIP = options.publicIP } = store;
  const host = await readHostFacts({ ...options, publicIP, knownMac });
  const table = await readTable(leaseSource, signal);
  const text = requireConfig(table.config, configSource);
  const { config, backend } = await readNetwork(text, configSource.where, table.leases);
  const { leases } = table;
  const input = { options: { ...options, datastoreAddresses: addresses }, host, config, backend, leases };
  if (leaseSource.lengths === 'any')
    return assignedPlan(input, store, table, createLogger('lease', { ...options.log, level: 'error' }));
  const { subnet } = await readPreviousSubnet(options.subnetFile);
  return planOf({ ...input, previous: subnet && { [subnet.family]: subnet }, random });
}

/** The plan of a node whose subnet another system assigns. Fails as `datastore` where none is assigned. */
function assignedPlan(
  input: Omit<PlanInput, 'previous' | 'random'>,
  { createHolder }: OpenLeases,
  known: LeaseTable,
  log: Logger,
): HostPlan {
  const { options, host, config, backend } = input;
  const holder = createHolder({
    log,
    config,
    attrs: announcement(backend, host),
    known,
    spared: () => sparedPrefixes(config.network, host.ends, options.datastoreAddresses ?? []),
  });
  const { subnets } = holder;
  if (subnets === undefined)
    throw new TwillError('datastore', holder.conditions()[0]?.reason ?? 'no subnet is assigned');
  return explained({ ...input, subnets, lengths: 'any' }, 'assigned to this node');
}

export interface PlanInput {
  readonly options: Pick<NodeOptions, 'blackholeRoute' | 'datastoreAddresses'>;
  readonly host: HostFacts;
  readonly config: NetworkConfig;
  readonly backend: Backend;
  /** The leases of all nodes. */
  readonly leases: readonly Lease[];
  /** The subnets that were handed off last. */
  readonly previous: PerFamily<Prefix> | undefined;
  readonly random: Random;
}

/** Fails as `exhausted`. Pure. */
export function planOf({ options, host, config, backend, leases, previous, random }: PlanInput): HostPlan {
  const self = announcement(backend, host);
  const spared = sparedPrefixes(config.network, host.ends, options.datastoreAddresses ?? []);
  const input = { leases, config, self, previous, random, spared };
  const first = choose(input);
  // The agent asks a node with our address first, and then about a lease of this machine.
  const silent = first.kind === 'ask' && first.because === 'namesake' ? first.lease : undefined;
  const next = silent && choose({ ...input, silent });
  const choice = next?.kind === 'ask' ? next : first;
  if (choice.kind === 'full') throw exhausted(config, leases);
  const { subnets } = choice.kind === 'claim' ? choice : choice.lease;
  return explained({ options, host, config, backend, subnets, leases }, explain(choice));
}

function explained(input: HostPlanInput, why: string): HostPlan {
  const { host, config, backend, subnets } = input;
  const comment = [
    `network ${formatPrefix(config.network)}`,
    `backend ${backend.type}`,
    `subnet ${formatSubnets(subnets)} (${why})`,
    `mtu ${backend.mtuBytes(host.underlay)}`,
  ].join(', ');
  return { comment: `# ${comment}\n`, state: planHostState(input) };
}

function explain(choice: Exclude<Choice, { kind: 'full' }>): string {
  if (choice.kind === 'keep') return 'ours';
  if (choice.kind === 'claim') return 'free; this command does not claim it';
  if (choice.because === 'moved')
    return 'ours from before this host had another address, unless another host answers for it';
  const name = printable(choice.lease.attrs.node?.name ?? 'unknown');
  return choice.because === 'namesake'
    ? `of node ${name} at our address: ours unless that node answers for it`
    : `the previous one, of node ${name} with our machine id at another address: ours unless that node answers for it`;
}

async function readTable(source: LeaseSource, signal: AbortSignal): Promise<LeaseTable> {
  const table = createLeaseTable();
  const stop = new AbortController();
  for await (const event of source.watch(AbortSignal.any([signal, stop.signal]))) {
    if (event.type === 'disconnected') throw event.error;
    table.apply(event);
    if (table.isComplete) break;
  }
  stop.abort();
  signal.throwIfAborted();
  return table;
}

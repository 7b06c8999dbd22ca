// Opens the place of the leases by its kind. Each kind is loaded only where it is used.
import { readNetwork } from '../backends/index.ts';
import type { Clock } from './base/clock.ts';
import type { TwillError } from './base/errors.ts';
import type { Logger } from './base/log.ts';
import type { Random } from './base/random.ts';
import { readVxlanMac } from './kernel/host-facts.ts';
import type { KvLeaseHolder } from './lease/kv-lease-holder.ts';
import type { ConfigSource } from './model/config-source.ts';
import { datastoreAddresses, type KubernetesOptions, type KvOptions } from './model/datastore-options.ts';
import type { HolderInput, LeaseHolder } from './model/lease-holder.ts';
import type { LeaseSource } from './model/lease-source.ts';
import { type Metric, single } from './model/metrics.ts';
import type { AgentOptions } from './options.ts';

export interface OpenLeases extends AsyncDisposable {
  readonly leaseSource: LeaseSource;
  readonly configSource: ConfigSource;
  readonly createHolder: (input: HolderInput) => LeaseHolder;
  /** Addresses of the servers, as far as they are known. */
  readonly addresses: readonly string[];
  /** The public address that the store gives to this node; undefined: none. */
  readonly publicIP?: string | undefined;
  /** The MAC by which peers know this node's vxlan device; undefined: none. */
  readonly knownMac?: string | undefined;
  /** Takes notice that the node is ready. */
  noticeReady?(): void;
  metrics(): readonly Metric[];
}

export interface OpenLeasesDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Called for each failed attempt to reach a store that has to tell something first. */
  readonly onFailure: (error: TwillError) => void;
  /** Kubernetes: the file of the Nodes as they were seen last. Undefined: it is neither read nor written. */
  readonly nodeCache?: string | undefined;
}

/** Opens them. Options that cannot work fail at once; one may be asked until it answers or `signal` is aborted. */
export function openLeases(
  { datastore, renewMarginMinutes }: Pick<AgentOptions, 'datastore' | 'renewMarginMinutes'>,
  deps: OpenLeasesDeps,
  signal: AbortSignal,
): Promise<OpenLeases> {
  return datastore.kind === 'kubernetes'
    ? openNodes(datastore, deps, signal)
    : openStore(datastore, renewMarginMinutes, deps);
}

async function openStore(
  options: KvOptions,
  renewMarginMinutes: number,
  { clock, random, log }: OpenLeasesDeps,
): Promise<OpenLeases> {
  const { openLeaseStore } = await import('./datastore/open-store.ts');
  const { KvLeaseHolder: Holder } = await import('./lease/kv-lease-holder.ts');
  const { LeaseNumbers } = await import('./lease/lease-numbers.ts');
  const opened = await openLeaseStore(options, { clock, random, log: log.for('datastore') });
  const numbers = new LeaseNumbers(clock);
  const store = numbers.watch(opened);
  let holding: { readonly holder: KvLeaseHolder; readonly input: HolderInput } | undefined;
  return {
    leaseSource: opened,
    configSource: opened.config,
    createHolder(input) {
      const holder = new Holder({ ...input, store, clock, random, renewMarginMinutes });
      holding = { holder, input };
      return holder;
    },
    addresses: datastoreAddresses(options),
    metrics: () => [
      single('twill_store_info', 1, { kind: options.kind }),
      ...opened.requests.metrics(),
      ...(holding === undefined ? [] : numbers.metrics(holding.holder.held, holding.input)),
    ],
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function openNodes(
  options: KubernetesOptions,
  { log, nodeCache, ...deps }: OpenLeasesDeps,
  signal: AbortSignal,
): Promise<OpenLeases> {
  const { openKubernetes } = await import('./kubernetes/open-kubernetes.ts');
  const kubernetes = await openKubernetes(
    options,
    { ...deps, nodeCache, log: log.for('kubernetes') },
    signal,
  );
  const { nodes, configSource, publicIP, addresses } = kubernetes;
  const { backend } = await readNetwork((await configSource.read(signal)) ?? '', configSource.where, []);
  const device = backend.tunnel?.device?.name;
  let holder: ReturnType<typeof kubernetes.createHolder> | undefined;
  return {
    leaseSource: nodes,
    configSource,
    addresses,
    publicIP,
    // A device that stands has the MAC that the peers use now. One that is made again must have it, too.
    knownMac: device === undefined ? undefined : ((await readVxlanMac(device)) ?? kubernetes.announcedMac),
    createHolder(input) {
      holder = kubernetes.createHolder(input);
      return holder;
    },
    noticeReady: () => holder?.noticeReady(),
    metrics: () => [
      single('twill_store_info', 1, { kind: options.kind }),
      ...kubernetes.requests.metrics(),
      single('twill_rewritten_annotations_total', holder?.rewrites ?? 0),
    ],
    [Symbol.asyncDispose]: () => kubernetes[Symbol.asyncDispose](),
  };
}

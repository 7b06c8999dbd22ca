// The only file that knows everybody: it wires the parts together and owns their life.
//
//     store events ─▶ lease table ─▶ plan ─▶ reconciler ─▶ kernel
//     lease keeper ─▶ own subnet ──▶ plan, firewall, subnet.env
//
// Events only ring bells; each loop below does its work at its own pace. What stands in the kernel outlives us.

import { createBackend } from '../backends/index.ts';
import { assertWritable } from './base/atomic-file.ts';
import { createBell } from './base/bell.ts';
import { systemClock } from './base/clock.ts';
import { asTwillError, TwillError } from './base/errors.ts';
import { exec } from './base/exec.ts';
import { createLogger, type Logger } from './base/log.ts';
import { systemRandom } from './base/random.ts';
import { backoffMs } from './base/retry.ts';
import { runTasks } from './base/tasks.ts';
import { openLeaseStore } from './datastore/open-store.ts';
import { openFirewall } from './firewall/open-firewall.ts';
import { planFirewall } from './firewall/rules.ts';
import { readPreviousSubnet, writeSubnetEnv } from './handoff/subnet-env.ts';
import { planHostState } from './host-plan.ts';
import { readHostFacts } from './kernel/host-facts.ts';
import { openNetlinkKernel } from './kernel/netlink-kernel.ts';
import { createReconciler, type Reconciler } from './kernel/reconciler.ts';
import { createLeaseKeeper, type LeaseKeeper } from './lease/lease-keeper.ts';
import { createLeaseTable } from './lease/lease-table.ts';
import { LIMITS } from './limits.ts';
import type { Backend } from './model/backend.ts';
import type { Firewall } from './model/firewall.ts';
import type { HostFacts } from './model/host-facts.ts';
import { formatPrefix, type Prefix } from './model/ip.ts';
import type { HeldLease, LeaseStore, StoreEvent } from './model/lease-store.ts';
import { type NetworkConfig, parseNetworkConfig } from './model/network-config.ts';
import { type Readiness, startHealthServer } from './observe/health.ts';
import { createServiceNotifier } from './observe/sd-notify.ts';
import type { AgentOptions } from './options.ts';

/** What the agent gets from its process. */
export interface AgentContext {
  readonly signal: AbortSignal;
  /** Value of NOTIFY_SOCKET: where systemd waits to hear that we are ready. */
  readonly notifySocket: string | undefined;
}

/**
 * Runs the agent until the signal is aborted; the data path, the lease and the subnet file stay as they are.
 *
 * Fails where the operator has to act: wrong configuration, a host that cannot carry it, no free subnet, another
 * live node with our address. A datastore that does not answer is waited for.
 */
export async function runAgent(options: AgentOptions, context: AgentContext): Promise<void> {
  const log = createLogger('twill', options.logLevel);
  const { signal } = context;
  const host = await readHostFacts(options, options.publicIP);
  log.info(`using ${host.underlay.name}`, {
    address: host.underlay.address,
    public_ip: host.publicIP,
    mtu: host.underlay.mtuBytes,
    node: host.node.name,
  });
  await assertWritable(options.subnetFile);
  const deps = { clock: systemClock, random: systemRandom, log: log.for('datastore') };
  await using store = await openLeaseStore(options.datastore, deps);
  await using kernel = openNetlinkKernel();
  const reconciler = createReconciler({ ...deps, kernel, log: log.for('kernel') });
  const agent = new Agent({ options, host, store, reconciler, log });
  await using _server =
    options.healthz === undefined
      ? undefined
      : await startHealthServer({
          ...options.healthz,
          isAlive: () => true,
          isReady: () => agent.readiness(),
        });
  const notifier = createServiceNotifier({ socket: context.notifySocket, exec, log });
  await runTasks(signal, [
    (until) => reconciler.run(until),
    (until) => agent.followStore(until),
    async (until) => {
      const summary = await agent.start(until);
      await notifier.ready(summary);
      await agent.run(until);
    },
  ]);
  log.info('stopped; routes, rules and lease stay');
}

interface AgentDeps {
  readonly options: AgentOptions;
  readonly host: HostFacts;
  readonly store: LeaseStore;
  readonly reconciler: Reconciler;
  readonly log: Logger;
}

/** What is fixed once the network configuration has been read. */
interface Network {
  readonly config: NetworkConfig;
  readonly backend: Backend;
  readonly keeper: LeaseKeeper;
  readonly firewall: Firewall | undefined;
}

class Agent {
  readonly #deps: AgentDeps;
  readonly #table = createLeaseTable();
  readonly #tableBell = createBell(systemClock);
  readonly #planBell = createBell(systemClock);
  readonly #firewallBell = createBell(systemClock);
  #network: Network | undefined;
  /** Why we are not ready, by part; empty: we are. */
  readonly #trouble = new Map<string, string>([['agent', 'starting']]);
  #reportedMalformed = 0;
  #strangers = '';

  constructor(deps: AgentDeps) {
    this.#deps = deps;
  }

  readiness(): Readiness {
    const kernel = this.#deps.reconciler.status().trouble;
    const [reason = kernel] = this.#trouble.values();
    return reason === undefined ? { ready: true, reason: 'ready' } : { ready: false, reason };
  }

  /** Takes in what happens in the store. */
  async followStore(signal: AbortSignal): Promise<void> {
    for await (const event of this.#deps.store.watch(signal)) {
      const change = this.#table.apply(event);
      this.#reportMalformed(change.malformed);
      this.#noticeConnection(event);
      await this.#noticeOwnLease(event, signal);
      if (change.leases) this.#planBell.ring();
      if (change.config && this.#network !== undefined) this.#noticeConfig();
      this.#tableBell.ring();
    }
  }

  /** Everything up to the moment when containers can talk. Gives one line about what stands. */
  async start(signal: AbortSignal): Promise<string> {
    const { options, host, store, reconciler, log } = this.#deps;
    const previous = await readPreviousSubnet(options.subnetFile);
    const config = parseNetworkConfig(await this.#configText(signal), store.configPath);
    const backend = await createBackend(config.backend, store.configPath);
    log.info(`network ${formatPrefix(config.network)}`, {
      backend: config.backendIsDefault ? `${backend.type} (none is configured)` : backend.type,
      mtu: backend.mtuBytes(host),
    });
    const firewall = await this.#openFirewall(config);
    const keeper = createLeaseKeeper({
      store,
      clock: systemClock,
      random: systemRandom,
      log: log.for('lease'),
      config,
      attrs: {
        publicIP: host.publicIP,
        publicIPv6: undefined,
        backendType: backend.type,
        backendData: backend.announce(host),
        backendV6Data: undefined,
        node: host.node,
        extra: {},
      },
      leases: () => this.#table.leases,
      renewMarginMinutes: options.renewMarginMinutes,
    });
    this.#trouble.set('agent', 'waiting for a lease');
    const held = await this.#acquire(keeper, previous, signal);
    this.#network = { config, backend, keeper, firewall };
    this.#plan();
    this.#trouble.set('agent', 'making routes and rules for the first time');
    await Promise.all([reconciler.settled(signal), this.#ensureFirewall(signal)]);
    await this.#handOff();
    this.#trouble.delete('agent');
    const summary = `subnet ${formatPrefix(held.lease.subnet)}, ${backend.type}, ${this.#table.leases.length - 1} peers`;
    log.info(`ready: ${summary}`);
    return summary;
  }

  /** Keeps everything as it was started. */
  async run(signal: AbortSignal): Promise<void> {
    const network = this.#network;
    if (network === undefined) throw new Error('run before start');
    const { options } = this.#deps;
    await runTasks(signal, [
      (until) =>
        network.keeper.run(() => {
          this.#planBell.ring();
          this.#firewallBell.ring();
        }, until),
      async (until) => {
        for (;;) {
          await this.#planBell.wait(until);
          await systemClock.sleep(LIMITS.planDelayMs, until);
          this.#plan();
          await this.#handOff();
        }
      },
      async (until) => {
        for (;;) {
          await this.#firewallBell.wait(until, options.firewallResyncSeconds * 1000);
          await this.#ensureFirewall(until);
        }
      },
    ]);
  }

  async #configText(signal: AbortSignal): Promise<string> {
    const { store, log } = this.#deps;
    this.#trouble.set('agent', 'waiting for the datastore');
    while (!this.#table.isComplete) await this.#tableBell.wait(signal);
    if (this.#table.config === undefined) {
      this.#trouble.set('agent', `waiting for the network configuration at ${store.configPath}`);
      log.info(`waiting for the network configuration at ${store.configPath}`, {
        write_it_with: store.configHint,
      });
    }
    for (;;) {
      if (this.#table.config !== undefined) return this.#table.config;
      await this.#tableBell.wait(signal);
    }
  }

  async #acquire(keeper: LeaseKeeper, previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease> {
    for (let failures = 1; ; failures++) {
      try {
        return await keeper.acquire(previous, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof TwillError) || error.code !== 'datastore') throw error;
        this.#deps.log.warn(error.message);
        await systemClock.sleep(backoffMs(LIMITS.datastoreBackoff, failures, systemRandom), signal);
      }
    }
  }

  #plan(): void {
    const { options, host, reconciler } = this.#deps;
    const subnet = this.#network?.keeper.held?.lease.subnet;
    // While a lost lease is being taken again, everything stays as it is.
    if (this.#network === undefined || subnet === undefined) return;
    const { config, backend } = this.#network;
    const leases = this.#table.leases;
    reconciler.want(planHostState({ options, host, config, backend, subnet, leases }));
    this.#reportStrangers(backend, leases.filter(({ attrs }) => attrs.backendType !== backend.type).length);
  }

  async #handOff(): Promise<void> {
    const { options, host, log } = this.#deps;
    const subnet = this.#network?.keeper.held?.lease.subnet;
    if (this.#network === undefined || subnet === undefined) return;
    const { config, backend } = this.#network;
    const env = { network: config.network, subnet, mtuBytes: backend.mtuBytes(host), ipMasq: options.ipMasq };
    try {
      if (await writeSubnetEnv(options.subnetFile, env)) log.info(`wrote ${options.subnetFile}`);
      this.#trouble.delete('handoff');
    } catch (error) {
      if (this.#trouble.has('agent')) throw error;
      this.#complain('handoff', asTwillError(error, 'host', `cannot write ${options.subnetFile}`).message);
    }
  }

  async #openFirewall({ enableNFTables }: NetworkConfig): Promise<Firewall | undefined> {
    const { options, log } = this.#deps;
    try {
      return (await openFirewall({ enableNFTables, log: log.for('firewall'), exec })).active;
    } catch (error) {
      // Where no rules are wanted, nobody needs a firewall to be installed.
      if (options.ipMasq || options.forwardRules) throw error;
      return undefined;
    }
  }

  async #ensureFirewall(signal: AbortSignal): Promise<void> {
    const { options, log } = this.#deps;
    const subnet = this.#network?.keeper.held?.lease.subnet;
    if (this.#network?.firewall === undefined || subnet === undefined) return;
    const { config, firewall } = this.#network;
    try {
      const rules = planFirewall({ ...options, network: config.network, subnet });
      const found = await firewall.ensure(rules, signal);
      const isFirst = this.#trouble.has('agent');
      if (found === 'repaired')
        log[isFirst ? 'info' : 'warn'](`${isFirst ? 'set' : 'repaired'} the ${firewall.mode} rules`);
      this.#trouble.delete('firewall');
    } catch (error) {
      signal.throwIfAborted();
      this.#complain(
        'firewall',
        asTwillError(error, 'host', `cannot set the ${firewall.mode} rules`).message,
      );
    }
  }

  async #noticeOwnLease(event: StoreEvent, signal: AbortSignal): Promise<void> {
    const { host, store, log } = this.#deps;
    const keeper = this.#network?.keeper;
    const own = keeper?.held?.lease.subnet;
    if (keeper === undefined || own === undefined) return;
    if (event.type === 'challenge' && formatPrefix(event.subnet) === formatPrefix(own)) {
      log.warn(`node ${event.by.name} has our public address too; it was told that we are alive`, {
        public_ip: host.publicIP,
      });
      await store
        .answerChallenge(own, signal)
        .catch((error: unknown) => log.warn(asTwillError(error, 'datastore', 'cannot answer').message));
    }
    if (event.type === 'lease-removed') keeper.noticeLoss(event.subnet, event.revision);
    if (event.type === 'snapshot' && this.#table.get(own) === undefined)
      keeper.noticeLoss(own, event.revision);
    if (event.type === 'lease' && event.lease.attrs.publicIP !== host.publicIP) {
      keeper.noticeLoss(event.lease.subnet, event.lease.revision);
    }
  }

  #noticeConnection(event: StoreEvent): void {
    if (event.type === 'disconnected') {
      this.#complain('datastore', event.error.message);
    } else if (event.type === 'connected' || event.type === 'snapshot') {
      if (this.#trouble.delete('datastore')) this.#deps.log.info('the datastore is back');
    }
  }

  #noticeConfig(): void {
    this.#deps.log.warn('the network configuration has changed; it counts from the next start on');
  }

  #reportMalformed(entries: readonly { readonly key: string; readonly reason: string }[]): void {
    for (const { key, reason } of entries) {
      if (this.#reportedMalformed++ >= LIMITS.reportedMalformed) return;
      this.#deps.log.warn('skipped an entry that is no lease', { key, reason });
    }
  }

  #reportStrangers(backend: Backend, count: number): void {
    const text =
      count === 0 ? '' : `${count} nodes use another backend than ${backend.type} and are not reached`;
    if (text !== this.#strangers && text !== '') this.#deps.log.warn(text);
    this.#strangers = text;
  }

  /** Says it once, and is not ready until it is over. */
  #complain(part: string, message: string): void {
    if (this.#trouble.get(part) !== message) this.#deps.log.error(message);
    this.#trouble.set(part, message);
  }
}

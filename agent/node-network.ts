// This node's part of the network, once its configuration is known: the lease, what the kernel should hold, the
// firewall rules, and the file that containers are started by. Each is kept right by a loop of its own.
import { createBell } from './base/bell.ts';
import { asTwillError, TwillError } from './base/errors.ts';
import { backoffMs } from './base/retry.ts';
import { runTasks } from './base/tasks.ts';
import { planFirewall } from './firewall/rules.ts';
import type { Reconciler } from './kernel/reconciler.ts';
import { ownership } from './lease/allocator.ts';
import { createLeaseKeeper, type LeaseKeeper } from './lease/lease-keeper.ts';
import type { LeaseTable } from './lease/lease-table.ts';
import { peersOf } from './lease/lease-table.ts';
import { LIMITS } from './limits.ts';
import type { Backend, DataPlane, PlanInput } from './model/backend.ts';
import type { Firewall } from './model/firewall.ts';
import type { HostFacts } from './model/host-facts.ts';
import { formatPrefix, type Prefix } from './model/ip.ts';
import type { Lease } from './model/lease.ts';
import type { HeldLease, StoreEvent } from './model/lease-store.ts';
import type { NetworkConfig } from './model/network-config.ts';
import { planHostState } from './node-plan.ts';
import type { NodeOptions, NodeWorld } from './node-world.ts';
import { dataPlaneMetrics, type Metric } from './observe/metrics.ts';
import type { Troubles } from './observe/troubles.ts';

export interface NodeNetworkDeps extends NodeWorld {
  readonly options: NodeOptions;
  readonly troubles: Troubles;
  readonly host: HostFacts;
  readonly table: LeaseTable;
  readonly reconciler: Reconciler;
  readonly config: NetworkConfig;
  readonly backend: Backend;
  /** Undefined: none is installed, and no rules are wanted. */
  readonly firewall: Firewall | undefined;
}

export class NodeNetwork implements AsyncDisposable {
  readonly #deps: NodeNetworkDeps;
  readonly #keeper: LeaseKeeper;
  readonly #planBell;
  readonly #firewallBell;
  #dataPlane: DataPlane | undefined;
  #strangers = 0;

  constructor(deps: NodeNetworkDeps) {
    this.#deps = deps;
    this.#planBell = createBell(deps.clock);
    this.#firewallBell = createBell(deps.clock);
    const { host, backend, table, options, log } = deps;
    this.#keeper = createLeaseKeeper({
      ...deps,
      log: log.for('lease'),
      attrs: {
        publicIP: host.publicIP,
        publicIPv6: undefined,
        backendType: backend.type,
        backendData: backend.announce(host),
        backendV6Data: undefined,
        node: host.node,
        extra: {},
      },
      leases: () => table.leases,
      renewMarginMinutes: options.renewMarginMinutes,
    });
  }

  /** Everything up to the moment when containers can talk. Gives one line about what stands. */
  async start(signal: AbortSignal): Promise<string> {
    const { handOff, backend, table, reconciler, log, troubles } = this.#deps;
    troubles.wait('agent', 'waiting for a lease');
    const held = await this.#acquire(await handOff.previousSubnet(), signal);
    this.#plan();
    troubles.wait('agent', 'making routes and rules for the first time');
    await Promise.all([reconciler.settled(signal), this.#ensureFirewall(signal)]);
    await this.#openDataPlane(held.lease.subnet);
    await this.#handOff();
    troubles.clear('agent');
    const peers = table.leases.filter(({ subnet }) => subnet.address !== held.lease.subnet.address).length;
    const summary = `subnet ${formatPrefix(held.lease.subnet)}, ${backend.type}, ${peers} peers`;
    log.info(`ready: ${summary}`);
    return summary;
  }

  /** Keeps everything as it was started, until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { options, clock } = this.#deps;
    const onNewLease = (): void => {
      this.#planBell.ring();
      this.#firewallBell.ring();
    };
    await runTasks(signal, [
      (until) => this.#keeper.run(onNewLease, until),
      async (until) => {
        for (;;) {
          await this.#planBell.wait(until);
          await clock.sleep(LIMITS.planDelayMs, until);
          this.#plan();
          await this.#handOff();
        }
      },
      async (until) => {
        for (;;) {
          const why = await this.#firewallBell.wait(until, options.firewallResyncSeconds * 1000);
          // Who changes rules seldom changes one, and our own changes are told of too.
          if (why === 'rung') await clock.sleep(LIMITS.firewallDelayMs, until);
          await this.#ensureFirewall(until);
          if (why === 'rung') await clock.sleep(LIMITS.firewallPauseMs, until);
        }
      },
    ]);
  }

  /** Why this node's network is not as it should be, one line; undefined: it is. */
  trouble(): string | undefined {
    return this.#keeper.held === undefined ? 'taking a lease again' : this.#dataPlane?.trouble();
  }

  /** Numbers of the data plane, where user space moves packets. */
  metrics(): readonly Metric[] {
    const counters = this.#dataPlane?.counters();
    return counters === undefined ? [] : dataPlaneMetrics(this.#deps.backend.type, counters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dataPlane?.[Symbol.asyncDispose]();
  }

  /** Takes notice of a change of the firewall's rules, ours or anybody's. */
  noticeRuleset(): void {
    this.#firewallBell.ring();
  }

  /** Takes notice of what happened in the store; the lease table has it already. */
  notice(event: StoreEvent, signal: AbortSignal): void {
    const { table, log } = this.#deps;
    const own = this.#keeper.held?.lease.subnet;
    this.#planBell.ring();
    switch (event.type) {
      case 'config':
        log.warn('the network configuration has changed; it counts from the next start on');
        break;
      case 'challenge':
        if (own !== undefined && formatPrefix(event.subnet) === formatPrefix(own)) {
          void this.#answerChallenge(own, event.by.name, signal);
        }
        break;
      case 'lease-removed':
        this.#keeper.noticeLoss(event.subnet, event.revision);
        break;
      case 'snapshot': {
        const lease = own && table.get(own);
        if (own === undefined || (lease !== undefined && this.#isOurs(lease))) break;
        this.#keeper.noticeLoss(own, lease?.revision ?? event.revision);
        break;
      }
      case 'lease':
        if (!this.#isOurs(event.lease)) this.#keeper.noticeLoss(event.lease.subnet, event.lease.revision);
        break;
      default:
    }
  }

  #isOurs(lease: Lease): boolean {
    const { host } = this.#deps;
    return ownership(lease, host.publicIP, host.node) === 'ours';
  }

  async #acquire(previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease> {
    const { clock, random, log } = this.#deps;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#keeper.acquire(previous, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof TwillError) || error.code !== 'datastore') throw error;
        log.warn(error.message);
        await clock.sleep(backoffMs(LIMITS.datastoreBackoff, failures, random), signal);
      }
    }
  }

  #plan(): void {
    const { backend, table, reconciler, log } = this.#deps;
    const subnet = this.#keeper.held?.lease.subnet;
    // While a lost lease is being taken again, everything stays as it is.
    if (subnet === undefined) return;
    const { leases } = table;
    reconciler.want(planHostState({ ...this.#deps, subnet, leases }));
    this.#dataPlane?.update(this.#planInput(subnet));
    const strangers = leases.filter(({ attrs }) => attrs.backendType !== backend.type).length;
    if (strangers > this.#strangers) {
      log.warn(`nodes that use another backend than ${backend.type} are not reached`, { nodes: strangers });
    }
    this.#strangers = strangers;
  }

  #planInput(subnet: Prefix): PlanInput {
    const { host, config, table } = this.#deps;
    const { network } = config;
    return { host, network, subnet, peers: peersOf(table.leases, network, subnet, host.publicIP) };
  }

  async #openDataPlane(subnet: Prefix): Promise<void> {
    const { backend, clock, log } = this.#deps;
    const deps = { clock, log: log.for(backend.type) };
    this.#dataPlane = await backend.openDataPlane?.(this.#planInput(subnet), deps);
  }

  async #handOff(): Promise<void> {
    const { options, host, config, backend, handOff, log, troubles } = this.#deps;
    const subnet = this.#keeper.held?.lease.subnet;
    if (subnet === undefined) return;
    const { network } = config;
    const env = { network, subnet, mtuBytes: backend.mtuBytes(host), ipMasq: options.ipMasq };
    try {
      if (await handOff.write(env)) log.info(`wrote ${handOff.name}`);
      troubles.clear('handoff');
    } catch (error) {
      if (troubles.has('agent')) throw error;
      troubles.complain('handoff', asTwillError(error, 'host', `cannot write ${handOff.name}`).message);
    }
  }

  async #ensureFirewall(signal: AbortSignal): Promise<void> {
    const { options, config, firewall, log, troubles } = this.#deps;
    const subnet = this.#keeper.held?.lease.subnet;
    if (firewall === undefined || subnet === undefined) return;
    try {
      const rules = planFirewall({ ...options, network: config.network, subnet });
      if ((await firewall.ensure(rules, signal)) === 'repaired') {
        if (troubles.has('agent')) log.info(`set the ${firewall.mode} rules`);
        else log.warn(`repaired the ${firewall.mode} rules`);
      }
      troubles.clear('firewall');
    } catch (error) {
      signal.throwIfAborted();
      const { message } = asTwillError(error, 'host', `cannot set the ${firewall.mode} rules`);
      troubles.complain('firewall', message);
    }
  }

  async #answerChallenge(own: Prefix, name: string, signal: AbortSignal): Promise<void> {
    const { host, store, log } = this.#deps;
    log.warn(`node ${name} has our public address too; it is told that we are alive`, {
      public_ip: host.publicIP,
    });
    try {
      await store.answerChallenge(own, signal);
    } catch (error) {
      log.warn(asTwillError(error, 'datastore', `cannot answer node ${name}`).message);
    }
  }
}

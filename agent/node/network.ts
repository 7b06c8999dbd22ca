// This node's part of the network, once its configuration is known: the lease, what the kernel should hold, the
// firewall rules, and the file that containers are started by. Each is kept right by a loop of its own.
import { createBell } from '../base/bell.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import { backoffMs, retry } from '../base/retry.ts';
import { runTasks } from '../base/tasks.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import type { Reconciler } from '../kernel/reconciler.ts';
import { createLeaseKeeper, type LeaseKeeper } from '../lease/lease-keeper.ts';
import type { LeaseTable } from '../lease/lease-table.ts';
import type { Backend, DataPlane, DataPlaneInput } from '../model/backend.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import { formatPrefix, type Prefix, samePrefix } from '../model/ip.ts';
import { formatSubnetKey } from '../model/lease.ts';
import type { HeldLease, StoreEvent } from '../model/lease-store.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { NodeOptions } from '../model/node-options.ts';
import { planesOf } from '../model/plane.ts';
import { dataPlaneMetrics, type Metric } from '../observe/metrics.ts';
import type { Troubles } from '../observe/troubles.ts';
import { answerChallenge } from './challenge-answer.ts';
import { FirewallKeeper } from './firewall-keeper.ts';
import type { HostChange, HostFollower } from './host-follower.ts';
import { LIMITS } from './limits.ts';
import { warnOfNamesake } from './namesake.ts';
import { announcement, planHostState } from './plan.ts';
import { peersIn } from './planner.ts';
import { watchSuspension } from './suspension.ts';
import type { NodeWorld } from './world.ts';

export interface NodeNetworkDeps extends NodeWorld {
  readonly options: NodeOptions;
  readonly troubles: Troubles;
  readonly host: HostFollower;
  readonly table: LeaseTable;
  readonly reconciler: Reconciler;
  readonly config: NetworkConfig;
  readonly backend: Backend;
  /** Undefined: none is installed, and no rules are wanted. */
  readonly firewall: NodeFirewall | undefined;
}

export class NodeNetwork implements AsyncDisposable {
  readonly #deps: NodeNetworkDeps;
  readonly #keeper: LeaseKeeper;
  readonly #planBell;
  readonly #yieldTurn;
  readonly #firewall: FirewallKeeper | undefined;
  #dataPlane: DataPlane | undefined;
  /** What links, rules and the file were made for; undefined: nothing stands. */
  #standsFor: string | undefined;
  #strangers = 0;

  constructor(deps: NodeNetworkDeps) {
    this.#deps = deps;
    this.#planBell = createBell(deps.clock);
    this.#yieldTurn = createYieldTurn(deps.clock);
    const { host, table, options, log } = deps;
    this.#firewall =
      deps.firewall &&
      new FirewallKeeper({
        ...deps,
        firewall: deps.firewall,
        wishes: { ...options, network: deps.config.network },
        subnet: () => this.#keeper.subnet,
        resyncMs: options.firewallResyncSeconds * 1000,
      });
    this.#keeper = createLeaseKeeper({
      ...deps,
      log: log.for('lease'),
      attrs: announcement(deps.backend, host.facts),
      leases: () => table.leases,
      hasConfig: () => table.config !== undefined,
      renewMarginMinutes: options.renewMarginMinutes,
    });
  }

  /** Everything up to the moment when containers can talk. Gives one line about what stands. */
  async start(signal: AbortSignal): Promise<string> {
    const { handOff, backend, table, log, troubles } = this.#deps;
    const previous = await handOff.previousSubnet();
    for (;;) {
      troubles.wait('agent', 'waiting for a lease');
      await this.#acquire(previous, signal);
      const { subnet } = this.#keeper;
      if (subnet === undefined) continue;
      await this.#establish(subnet, signal);
      if (this.#standsFor === undefined) {
        // It was lost before anything stood.
        await this.#withdraw();
        continue;
      }
      const peers = table.leases.filter(
        ({ subnets }) => subnets[4] === undefined || !samePrefix(subnets[4], subnet),
      ).length;
      const summary = `subnet ${formatPrefix(subnet)}, ${backend.type}, ${peers} peers`;
      log.info(`ready: ${summary}`);
      return summary;
    }
  }

  /** Keeps everything as it was started, until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, table, troubles } = this.#deps;
    let failures = 0;
    const onNewLease = (): void => {
      this.#planBell.ring();
      this.#firewall?.notice();
    };
    await runTasks(signal, [
      (until) => this.#keeper.run(onNewLease, until),
      (until) => watchSuspension(clock, (asleepMs) => this.#noticeSuspension(asleepMs), until),
      async (until) => {
        for (;;) {
          await this.#planBell.wait(until);
          await clock.sleep(LIMITS.planDelayMs + table.leaseCount * LIMITS.planDelayMsPerLease, until);
          try {
            await this.#follow(until);
            failures = 0;
            troubles.clear('subnet');
          } catch (error) {
            until.throwIfAborted();
            failures++;
            troubles.complain('subnet', asTwillError(error, 'host', 'cannot follow the lease').message);
            await clock.sleep(backoffMs(LIMITS.planBackoff, failures, random), until);
            this.#planBell.ring();
          }
        }
      },
      async (until) => this.#firewall?.run(until),
    ]);
  }

  /** Why this node's network is not as it should be, one line; undefined: it is. */
  trouble(): string | undefined {
    const { subnet } = this.#keeper;
    if (subnet !== undefined && formatPrefix(subnet) !== this.#standsFor) return 'moving to another subnet';
    return this.#keeper.trouble() ?? this.#dataPlane?.trouble();
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
    this.#firewall?.notice();
  }

  /** Takes notice of what this host is now. */
  noticeHost({ facts, moved, back }: HostChange): void {
    // Connections from an address that is gone would hang for long, and those over a link that was down too.
    if (moved || back) this.#deps.store.reconnect();
    if (moved) {
      this.#keeper.announce(announcement(this.#deps.backend, facts));
      warnOfNamesake(this.#deps.table.leases, facts, this.#deps.log);
    }
    this.#planBell.ring();
  }

  /** Takes notice of what happened in the store; the lease table has it already. */
  notice(event: StoreEvent, signal: AbortSignal): void {
    const before = this.#keeper.subnet;
    this.#keeper.notice(event);
    const own = this.#keeper.subnet;
    this.#planBell.ring();
    if (own !== before) this.#firewall?.notice();
    if (event.type === 'challenge' && own !== undefined && event.key === formatSubnetKey({ 4: own })) {
      const { host, log } = this.#deps;
      const { name } = event.by;
      const public_ip = host.facts.ends[4]?.publicIP;
      log.warn(`node ${name} has our public address too; it is told that we are alive`, { public_ip });
      void answerChallenge(this.#deps, event.key, name, signal);
    }
  }

  // The lease may have run out meanwhile, and another node may have our subnet.
  #noticeSuspension(asleepMs: number): void {
    const { store, log } = this.#deps;
    log.warn('this machine was suspended: asking for our lease', { seconds: Math.round(asleepMs / 1000) });
    store.reconnect();
    this.#keeper.doubt();
    this.#firewall?.notice();
  }

  #acquire(previous: Prefix | undefined, signal: AbortSignal): Promise<HeldLease> {
    const attempt = (): Promise<HeldLease> => this.#keeper.acquire(previous, signal);
    const onFailure = (error: unknown): void => {
      if (!(error instanceof TwillError) || error.code !== 'datastore') throw error;
      this.#deps.log.warn(error.message);
    };
    return retry({ ...this.#deps, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
  }

  /** Lets everything follow the leases, and the subnet that we may use. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { subnet } = this.#keeper;
    if (subnet === undefined) return this.#withdraw();
    if (formatPrefix(subnet) !== this.#standsFor) return this.#establish(subnet, signal);
    await this.#plan(subnet);
    await this.#handOff(subnet);
  }

  async #establish(subnet: Prefix, signal: AbortSignal): Promise<void> {
    const { backend, clock, log, troubles } = this.#deps;
    if (!this.#mayUse(subnet)) return;
    troubles.wait('agent', `making routes and rules for ${formatPrefix(subnet)}`);
    await Promise.all([this.#settle(subnet, signal), this.#firewall?.ensure(signal)]);
    // What is no longer ours is not handed off.
    if (!this.#mayUse(subnet)) return;
    const deps = { clock, log: log.for(backend.type) };
    this.#dataPlane ??= await backend.openDataPlane?.(this.#planInput(subnet), deps);
    await this.#handOff(subnet);
    this.#standsFor = formatPrefix(subnet);
    troubles.clear('agent');
  }

  #mayUse(subnet: Prefix): boolean {
    return this.#keeper.subnet !== undefined && samePrefix(this.#keeper.subnet, subnet);
  }

  // The kernel may take its time, and leases change meanwhile.
  async #settle(subnet: Prefix, signal: AbortSignal): Promise<void> {
    const { reconciler } = this.#deps;
    const end = new AbortController();
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
      this.#planBell.ring();
    };
    await this.#plan(subnet);
    void reconciler.settled(end.signal).then(done, () => undefined);
    try {
      while (!isSettled) {
        await this.#planBell.wait(signal);
        if (!this.#mayUse(subnet)) break;
        await this.#plan(subnet);
      }
    } finally {
      end.abort();
      // Whatever rang is looked at again.
      this.#planBell.ring();
    }
  }

  // Without a subnet nothing of ours stays: with the addresses of another node's containers, ours would take
  // its packets. The data plane goes first, since it makes its device again when that is taken away.
  async #withdraw(): Promise<void> {
    const { reconciler } = this.#deps;
    this.#standsFor = undefined;
    const closing = this.#dataPlane;
    this.#dataPlane = undefined;
    await closing?.[Symbol.asyncDispose]();
    reconciler.want([]);
  }

  async #plan(subnet: Prefix): Promise<void> {
    const { backend, table, reconciler, log } = this.#deps;
    const { leases } = table;
    const state = planHostState({
      ...this.#deps,
      host: this.#deps.host.facts,
      subnets: { 4: subnet },
      leases,
    });
    // In a large network both halves take a while.
    await this.#yieldTurn();
    if (!this.#mayUse(subnet)) return;
    reconciler.want(state);
    this.#dataPlane?.update(this.#planInput(subnet));
    const strangers = leases.filter(({ attrs }) => attrs.backendType !== backend.type).length;
    if (strangers > this.#strangers) {
      log.warn(`nodes that use another backend than ${backend.type} are not reached`, { nodes: strangers });
    }
    this.#strangers = strangers;
  }

  #planInput(subnet: Prefix): DataPlaneInput {
    const { config, table, host, backend } = this.#deps;
    const planes = planesOf(host.facts, { 4: config.network }, { 4: subnet });
    return {
      planes: planes.map((plane) => ({ plane, peers: peersIn(plane, table.leases, backend.type) })),
    };
  }

  async #handOff(subnet: Prefix): Promise<void> {
    const { options, host, config, backend, handOff, log } = this.#deps;
    const { network } = config;
    const env = { network, subnet, mtuBytes: backend.mtuBytes(host.facts.underlay), ipMasq: options.ipMasq };
    if (await handOff.write(env)) log.info(`wrote ${handOff.name}`);
  }
}

// One node: its loops, over contracts only. The same code runs on a real host and in a simulated cluster.
//
//     store events ─▶ lease table ─▶ plan ─▶ reconciler ─▶ kernel
//     lease holder ─▶ own subnet ──▶ plan, firewall, subnet.env
//     netlink events ─▶ host facts ─▶ plan, lease holder, subnet.env
//
// Events only ring bells; each loop works at its own pace. The objects in the kernel outlive the process.
import { readNetwork } from '../../backends/index.ts';
import { createBell } from '../base/bell.ts';
import { messageOf } from '../base/errors.ts';
import { runTasks } from '../base/tasks.ts';
import { formatChange } from '../kernel/diff.ts';
import { Reconciler } from '../kernel/reconciler.ts';
import type { TableChange } from '../lease/lease-table.ts';
import { type Condition, failingFirst, type PeerCondition } from '../model/condition.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import { formatPrefix } from '../model/ip.ts';
import { conditionMetric, type Metric, single } from '../model/metrics.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { NodeOptions } from '../model/node-options.ts';
import type { NodeState } from '../model/status.ts';
import { createWatchdog } from '../observe/watchdog.ts';
import { DataPlaneKeeper } from './data-plane-keeper.ts';
import { HostFollower } from './host-follower.ts';
import { LIMITS } from './limits.ts';
import { NodeNetwork } from './network.ts';
import { NO_NETWORK } from './network-state.ts';
import { StoreFollower } from './store-follower.ts';
import { TunnelKeeper } from './tunnel-keeper.ts';
import { watchWorld } from './watched-world.ts';
import type { NodeWorld } from './world.ts';

export class Node {
  readonly #options: NodeOptions;
  readonly #world: NodeWorld;
  readonly #watchdog;
  readonly #reconciler: Reconciler;
  readonly #store: StoreFollower;
  readonly #dataPlane: DataPlaneKeeper;
  readonly #tunnel: TunnelKeeper;
  readonly #standingBell;
  /** Undefined before the interfaces have been read for the first time. */
  #host: HostFollower | undefined;
  /** Undefined before the network's configuration is known. */
  #network: NodeNetwork | undefined;
  #isRulesetWatched = false;

  constructor(options: NodeOptions, world: NodeWorld) {
    this.#options = options;
    const { clock, random, log, leaseSource, configSource, onLarge, dataPlaneMemory, tunnelFilter } = world;
    this.#watchdog = createWatchdog(clock);
    this.#world = watchWorld(world, this.#watchdog);
    const { kernel } = this.#world;
    this.#reconciler = new Reconciler({
      kernel,
      clock,
      random,
      log: log.for('kernel'),
      peerOf: (key) => this.#network?.peerOf(key),
    });
    this.#standingBell = createBell(clock);
    this.#store = new StoreFollower({ leaseSource, configSource, clock, random, log, onLarge });
    this.#dataPlane = new DataPlaneKeeper({ memory: dataPlaneMemory, clock, log });
    const isEnabled = options.tunnelFilter;
    this.#tunnel = new TunnelKeeper({
      filter: tunnelFilter,
      isEnabled,
      clock,
      random,
      log: log.for('firewall'),
    });
  }

  /**
   * Runs the node until `signal` is aborted. The data path, the lease and the handed-off values stay as they are.
   *
   * Fails where the operator has to act: wrong configuration, a host that cannot carry it, no free subnet, another
   * live node with our address. A datastore that does not answer is waited for.
   */
  async run(signal: AbortSignal): Promise<void> {
    await using _dataPlane = this.#dataPlane;
    const { hostSource, clock, log } = this.#world;
    const host = new HostFollower({ hostSource, clock, log }, await hostSource.read());
    this.#host = host;
    await runTasks(signal, [
      (until) => host.run(until),
      (until) => this.#reconciler.run(() => this.#network?.noticeKernel(), until),
      async (until) => {
        await this.#store.run(until);
        if (!until.aborted) throw new Error('the watch of the datastore ended by itself');
      },
      (until) => this.#watchRuleset(until),
      (until) => this.#dataPlane.run(until),
      (until) => this.#tunnel.run(until),
      (until) => this.#serve(host, until),
    ]);
    log.info('stopped; routes, rules and lease stay');
  }

  /** Why this node is not ready, faults first; empty: it is. Faults of peers are none of its own. */
  conditions(): readonly Condition[] {
    return failingFirst([
      ...this.#store.conditions(),
      ...(this.#host?.conditions() ?? []),
      ...this.#watchdog.conditions(LIMITS.slowCallMs),
      ...(this.#network?.conditions() ?? []),
      ...this.#dataPlane.conditions(),
      ...this.#reconciler.conditions(),
    ]);
  }

  /** A condition for each peer that is not reached. */
  peerConditions(): readonly PeerCondition[] {
    return this.#network?.peerFaults.conditions() ?? [];
  }

  /** The call that hangs, in one line: only a restart helps. Undefined: none. A loop that ends ends `run`. */
  hangs(): string | undefined {
    return this.#watchdog.hang(LIMITS.hangingCallMs);
  }

  /** The subnet, the backend and the peers in one line; undefined before the network's configuration is known. */
  summary(): string | undefined {
    return this.#network?.summary();
  }

  /** Everything that people may ask, from memory. */
  state(): NodeState {
    const { wanted, drift: repaired, repairs } = this.#reconciler;
    const [device] = [...wanted.values()].flatMap((object) => (object.kind === 'link' ? object.name : []));
    return {
      ...(this.#network?.state() ?? NO_NETWORK),
      conditions: this.conditions(),
      host: this.#host?.facts,
      leases: this.#store.table,
      store: this.#store.contact,
      kernel: { objects: wanted.size, device, repaired, repairs },
    };
  }

  /** The changes that the reconciler would make now, a line each; undefined: nothing is planned yet. */
  async difference(signal: AbortSignal): Promise<readonly string[] | undefined> {
    if (!this.#reconciler.isWanted) return undefined;
    return (await this.#reconciler.difference(signal)).map(formatChange);
  }

  metrics(): readonly Metric[] {
    const conditions = this.conditions();
    return [
      single('twill_ready', Number(conditions.length === 0)),
      conditionMetric(conditions),
      ...this.#store.metrics(),
      ...this.#reconciler.metrics(),
      ...(this.#network?.metrics() ?? []),
      ...this.#dataPlane.metrics(),
    ];
  }

  /** Serves the network, as soon as its configuration is known. */
  async #serve(host: HostFollower, signal: AbortSignal): Promise<void> {
    const { log, configSource } = this.#world;
    this.#store.listen((_, change) => this.#noticeLeases(change, host));
    const text = await this.#store.configText(signal);
    const { config, backend, why } = await readNetwork(text, configSource.where, this.#store.table.leases);
    log.info(`network ${formatPrefix(config.network)}`, {
      backend: why === undefined ? backend.type : `${backend.type} (none is configured: ${why})`,
      mtu: backend.mtuBytes(host.facts.underlay),
    });
    const firewall = await this.#findFirewall(config, signal);
    this.#dataPlane.use(backend, config);
    const network = new NodeNetwork({
      world: this.#world,
      options: this.#options,
      host,
      table: this.#store.table,
      reconciler: this.#reconciler,
      config,
      backend,
      firewall,
      dataPlane: this.#dataPlane,
      tunnel: this.#tunnel,
      isRulesetWatched: () => this.#isRulesetWatched,
      onStanding: () => this.#standingBell.ring(),
    });
    this.#network = network;
    this.#store.listen((event, change) => {
      this.#noticeLeases(change, host);
      network.notice(event, change);
    });
    host.listen((change) => network.noticeHost(change));
    await runTasks(signal, [(until) => network.run(until), (until) => this.#sayReady(network, until)]);
  }

  /** Says once that the node is ready, at a moment when it has no condition. */
  async #sayReady(network: NodeNetwork, signal: AbortSignal): Promise<void> {
    const { log, onReady } = this.#world;
    // Each part has its conditions, and not every one rings when it has none any more.
    while (this.conditions().length > 0) await this.#standingBell.wait(signal, LIMITS.readyLookMs);
    const summary = network.summary();
    log.info(`ready: ${summary}`);
    await onReady(summary);
  }

  #noticeLeases({ leases }: TableChange, host: HostFollower): void {
    if (leases === 'all' || leases.length > 0) this.#dataPlane.noticeLeases(this.#store.table, host.facts);
  }

  async #findFirewall(config: NetworkConfig, signal: AbortSignal): Promise<NodeFirewall | undefined> {
    const { ipMasq, forwardRules } = this.#options;
    try {
      return await this.#world.openFirewall(config, signal);
    } catch (error) {
      // A node that wants no rules needs no firewall.
      if (ipMasq || forwardRules) throw error;
      return undefined;
    }
  }

  async #watchRuleset(signal: AbortSignal): Promise<void> {
    const { watchRuleset, log } = this.#world;
    try {
      await watchRuleset((change) => {
        this.#isRulesetWatched = true;
        this.#network?.noticeRuleset(change);
        this.#tunnel.notice(change);
      }, signal);
    } catch (error) {
      this.#isRulesetWatched = false;
      log.info(`polling the firewall rules: ${messageOf(error)}`);
    }
  }
}

// This node's part of the network, once its configuration is known. It wants three documents, each of which a loop of
// its own makes true: the kernel's objects, the firewall's rules, and the hand-off to programs that start containers.
//
//     lease holder ──▶ subnets ─┐
//     leases, host facts ───────┴─▶ pass: kernel.want, firewall.want ── both stand ──▶ data plane, handOff.want
//
// A pass is level-triggered: it looks at everything as it is now and never waits for a document. Each change rings for
// another pass. The first event on an idle node is followed at once; events within the pause after a pass share the
// next.
import { createBell } from '../base/bell.ts';
import { asTwillError, TwillError, withHint } from '../base/errors.ts';
import { backoffMs, retry } from '../base/retry.ts';
import { runTasks } from '../base/tasks.ts';
import type { Reconciler } from '../kernel/reconciler.ts';
import type { LeaseTable, TableChange } from '../lease/lease-table.ts';
import type { Backend } from '../model/backend.ts';
import { type Condition, conditionsIn, createConditionSlot, type PeerName } from '../model/condition.ts';
import type { NodeFirewall } from '../model/firewall.ts';
import type { HostFacts } from '../model/host-facts.ts';
import type { PerFamily, Prefix } from '../model/ip.ts';
import { formatSubnets } from '../model/lease.ts';
import type { LeaseHolder } from '../model/lease-holder.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import type { Metric } from '../model/metrics.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import type { NodeOptions } from '../model/node-options.ts';
import { sparedPrefixes } from '../model/plane.ts';
import type { RulesetChange } from '../model/ruleset.ts';
import type { DataPlaneKeeper } from './data-plane-keeper.ts';
import { FirewallKeeper } from './firewall-keeper.ts';
import { HandOffKeeper } from './hand-off-keeper.ts';
import { HostChecker } from './host-checker.ts';
import type { HostChange, HostFollower } from './host-follower.ts';
import { LIMITS } from './limits.ts';
import { warnOfNamesake } from './namesake.ts';
import { networkMetrics, networkSummary } from './network-numbers.ts';
import { type NetworkState, networkState } from './network-state.ts';
import { PeerFaults } from './peer-faults.ts';
import { announcement, overlaysOf } from './plan.ts';
import { createPlanner, type Planner } from './planner.ts';
import { createRulesPlan } from './rules-plan.ts';
import { watchSuspension } from './suspension.ts';
import type { TunnelKeeper } from './tunnel-keeper.ts';
import type { NodeWorld } from './world.ts';

export interface NodeNetworkDeps {
  readonly world: NodeWorld;
  readonly options: NodeOptions;
  readonly host: HostFollower;
  readonly table: LeaseTable;
  readonly reconciler: Reconciler;
  readonly config: NetworkConfig;
  readonly backend: Backend;
  readonly dataPlane: DataPlaneKeeper;
  readonly tunnel: TunnelKeeper;
  /** Undefined: none is installed, and no rules are wanted. */
  readonly firewall: NodeFirewall | undefined;
  /** Whether the kernel's events of firewall rules arrive. */
  readonly isRulesetWatched: () => boolean;
  /** Called when everything of this node stands. */
  readonly onStanding: () => void;
}

export class NodeNetwork {
  readonly peerFaults: PeerFaults;
  readonly #deps: NodeNetworkDeps;
  readonly #bell;
  readonly #slot;
  readonly #holder: LeaseHolder;
  readonly #planner: Planner;
  readonly #planRules;
  readonly #firewall: FirewallKeeper | undefined;
  readonly #handOff: HandOffKeeper;
  readonly #checker: HostChecker;
  /** The subnets that the documents are wanted for, the first call of `reconciler.want`, and whether rules stood. */
  #established: { readonly subnets: PerFamily<Prefix>; readonly call: number; hadRules: boolean } | undefined;
  /** Whether everything of this node has stood since the start. */
  #hasStood = false;

  constructor(deps: NodeNetworkDeps) {
    this.#deps = deps;
    const { host, table, options, backend, config, firewall } = deps;
    const { clock, random, log, handOff, hostChecks: checks, createHolder } = deps.world;
    this.#bell = createBell(clock);
    this.#slot = createConditionSlot('network', log, clock);
    this.#slot.wait('waiting for subnets');
    const { blackholeRoute, ipForward: opens, datastoreAddresses: datastore = [] } = options;
    const overlays = overlaysOf(config, deps.world.leaseSource.lengths);
    this.#planner = createPlanner({ backend, overlays, blackholeRoute, datastore });
    this.#planRules = createRulesPlan(options);
    this.peerFaults = new PeerFaults(log, clock);
    this.#handOff = new HandOffKeeper({ handOff, clock, random, log });
    this.#checker = new HostChecker({ checks, opens, network: config.network, clock, log });
    this.#firewall =
      firewall &&
      new FirewallKeeper({
        firewall,
        resyncMs: options.firewallResyncSeconds * 1000,
        isWatched: deps.isRulesetWatched,
        clock,
        log,
      });
    this.#holder = createHolder({
      log: log.for('lease'),
      config,
      attrs: announcement(backend, host.facts),
      known: table,
      spared: () => sparedPrefixes(config.network, host.facts.ends, datastore),
    });
  }

  /**
   * Gets a lease, makes everything for it, and keeps it so until `signal` is aborted. Fails where the operator has to
   * act before containers can talk for the first time.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, handOff } = this.#deps.world;
    const last = await handOff.previousSubnet();
    await this.#acquire(last, signal);
    const ring = (): void => this.#bell.ring();
    ring();
    await runTasks(signal, [
      (until) => this.#holder.run(ring, until),
      (until) => this.#follow(until),
      async (until) => this.#firewall?.run(ring, until),
      (until) => this.#handOff.run(ring, until),
      (until) => this.#checker.run(last, ring, until),
      (until) => watchSuspension(clock, (asleepMs) => this.#noticeSuspension(asleepMs), until),
    ]);
  }

  conditions(): readonly Condition[] {
    const network = { conditions: () => conditionsIn(this.#slot) };
    const parts = [this.#holder, network, this.#handOff, this.#firewall, this.#checker];
    return parts.flatMap((part) => part?.conditions() ?? []);
  }

  /** The subnets and the peers, in one line. */
  summary(): string {
    return networkSummary(this.#deps, this.#established?.subnets);
  }

  metrics(): readonly Metric[] {
    const numbers = networkMetrics(this.#deps, this.#established?.subnets, this.peerFaults);
    return [...numbers, ...(this.#firewall?.metrics() ?? [])];
  }

  state(): NetworkState {
    return networkState(this.#deps, this.#holder, this.#firewall, this.peerFaults);
  }

  /** The peer that the object of this key leads to; undefined: the object is the node's own. */
  peerOf(key: string): PeerName | undefined {
    return this.#planner.peerOf(key);
  }

  /** Takes notice of a pass of the reconciler. */
  noticeKernel(): void {
    this.#lookAtPeers();
    this.#deps.tunnel.follow();
    // Once everything stands, nothing here depends on it.
    if (this.#slot.current !== undefined) this.#bell.ring();
  }

  /** Takes notice of a change of any firewall rules; undefined: some may have changed unheard. */
  noticeRuleset(change?: RulesetChange): void {
    this.#firewall?.notice(change);
  }

  /** Takes notice of a change of this host. */
  noticeHost({ facts, moved, back }: HostChange): void {
    const { backend, table, world } = this.#deps;
    const { leaseSource, log } = world;
    // Connections from an address that is gone, or over a link that was down, would hang for long.
    if (moved || back) leaseSource.reconnect();
    // The MAC and the host name are part of the announcement, and change alone too.
    this.#holder.announce(announcement(backend, facts));
    if (moved) warnOfNamesake(table.leases, facts, log);
    this.#bell.ring();
  }

  /** Takes notice of an event of the store. It is in the lease table already, and made this `change` there. */
  notice(event: StoreEvent, change: TableChange): void {
    const { table } = this.#deps;
    const before = this.#holder.subnets;
    this.#holder.notice(event);
    const isChanged = change.leases === 'all' || change.leases.length > 0;
    if (change.leases === 'all') this.#planner.invalidate();
    else for (const key of change.leases) this.#planner.update(key, table.get(key));
    if (isChanged || this.#holder.subnets !== before) this.#bell.ring();
  }

  // The lease may have run out meanwhile, and another node may have our subnet.
  #noticeSuspension(asleepMs: number): void {
    const { leaseSource, log } = this.#deps.world;
    log.warn('this machine was suspended: checking our lease', { seconds: Math.round(asleepMs / 1000) });
    leaseSource.reconnect();
    this.#holder.recheck();
    this.#firewall?.notice();
  }

  async #acquire(previous: Prefix | undefined, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps.world;
    const attempt = (): Promise<void> => this.#holder.acquire(previous && { ipv4: previous }, signal);
    const onFailure = (error: unknown): void => {
      if (!(error instanceof TwillError) || error.code !== 'datastore') throw error;
      this.#slot.fail(withHint(error), error.hint ?? error.message);
    };
    await retry({ clock, random, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
    this.#slot.wait('making routes and rules');
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { world, table, dataPlane } = this.#deps;
    const { clock, random } = world;
    for (let failures = 0; ; ) {
      await this.#bell.wait(signal);
      try {
        await this.#pass();
        failures = 0;
        const peers = dataPlane.isOpen ? table.leaseCount : 0;
        await clock.sleep(LIMITS.passPauseMs + peers * LIMITS.passPauseMsPerPeer, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!this.#hasStood) throw error;
        failures++;
        this.#slot.fail(asTwillError(error, 'host', 'cannot follow the lease').message);
        await clock.sleep(backoffMs(LIMITS.retryBackoff, failures, random), signal);
        this.#bell.ring();
      }
    }
  }

  async #pass(): Promise<void> {
    const { reconciler, host, backend, config, dataPlane, onStanding } = this.#deps;
    const { subnets } = this.#holder;
    if (subnets === undefined) return this.#withdraw();
    const call = this.#wantKernel(subnets);
    this.#wantRules();
    if (this.#established?.subnets !== subnets) {
      this.#established = { subnets, call, hadRules: false };
      // Earlier subnets are not handed over any more, even where that has failed so far.
      this.#handOff.want(undefined, subnets.ipv4);
    }
    this.#established.hadRules ||= this.#firewall?.stands !== false;
    if (reconciler.applied < this.#established.call || !this.#established.hadRules) {
      return this.#slot.wait(`making routes and rules for ${formatSubnets(subnets)}`);
    }
    await dataPlane.want(backend, config, this.#planner);
    this.#wantHandOff(host.facts, subnets);
    if (!this.#handOff.stands) return;
    // The check looks at links that stand by now.
    this.#checker.want(this.#planner.planes[0], () => this.#planner.state());
    if (!this.#checker.stands) return;
    this.#slot.clear();
    this.#hasStood = true;
    onStanding();
  }

  #lookAtPeers(): void {
    this.peerFaults.update(this.#planner.conditions(), this.#deps.reconciler.peerConditions());
  }

  #wantKernel(subnets: PerFamily<Prefix> | undefined): number {
    const { host, backend, reconciler, table, tunnel } = this.#deps;
    const call = reconciler.want(this.#planner.plan(host.facts, subnets, table));
    tunnel.want(backend, this.#planner);
    // Routes come first: nothing waits for the filter.
    if (reconciler.applied === call) tunnel.follow();
    this.peerFaults.countStrangers(this.#planner.strangers, backend.type);
    this.#lookAtPeers();
    return call;
  }

  #wantRules(): void {
    const { planes, links } = this.#planner;
    if (planes[0] === undefined) return;
    const { rules, traffic } = this.#planRules(planes[0], links, this.#checker.bridges);
    this.#firewall?.want(rules, traffic);
  }

  #wantHandOff({ underlay }: HostFacts, { ipv4: subnet }: PerFamily<Prefix>): void {
    const { config, backend, options } = this.#deps;
    if (subnet === undefined) return;
    const mtuBytes = backend.mtuBytes(underlay);
    this.#handOff.want({ network: config.network, subnet, mtuBytes, ipMasq: options.ipMasq });
  }

  // Without a subnet nothing of ours stays: our containers, with addresses of another node, would take its packets. The
  // data plane goes first: it makes its device again when that is deleted.
  async #withdraw(): Promise<void> {
    this.#established = undefined;
    this.#handOff.want(undefined);
    await this.#deps.dataPlane.withdraw();
    this.#checker.want(undefined, () => []);
    this.#wantKernel(undefined);
    this.#firewall?.want(undefined, undefined);
  }
}

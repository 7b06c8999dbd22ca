// One machine of a simulated cluster: the state that outlives its agent (kernel, rules, subnet.env, address), and the
// life of its agent. A supervisor restarts the agent.
import { messageOf, TwillError } from '../../agent/base/errors.ts';
import { createKvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import { KvLeaseHolder } from '../../agent/lease/kv-lease-holder.ts';
import type { NodeFirewall } from '../../agent/model/firewall.ts';
import type { SubnetEnv } from '../../agent/model/hand-off.ts';
import type { HostFacts } from '../../agent/model/host-facts.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { Change } from '../../agent/model/kernel.ts';
import { formatSubnets, type NodeIdentity } from '../../agent/model/lease.ts';
import type { LeaseHolder } from '../../agent/model/lease-holder.ts';
import { Node } from '../../agent/node/node.ts';
import { createMemoryFirewall } from '../fakes/memory-firewall.ts';
import { createMemoryHandOff } from '../fakes/memory-hand-off.ts';
import { createMemoryKernel, type MemoryKernel } from '../fakes/memory-kernel.ts';
import { createMemoryTunnelFilter } from '../fakes/memory-tunnel-filter.ts';
import { OPEN_HOST } from '../fakes/open-host.ts';
import { Ability } from './ability.ts';
import type { Cluster } from './cluster.ts';
import { Life } from './life.ts';
import { Machine } from './machine.ts';
import { NODE_OPTIONS } from './node-options.ts';
import { openSimKernel } from './sim-kernel.ts';
import { openSimStore, type StoreWay } from './sim-store.ts';
import { openSimTunnelFilter } from './sim-tunnel-filter.ts';
import { drawDelayMs } from './weather.ts';
import { Witness } from './witness.ts';

export const NETWORK_PREFIX = '/coreos.com/network';

/** Time from the stop signal until the process is killed. */
const STOP_MS = 900;

interface Running {
  readonly life: Life;
  readonly witness: Witness;
  readonly node: Node;
  readonly stop: AbortController;
  readonly sinceMs: number;
  /** Undefined before the network's configuration is known. */
  holder: LeaseHolder | undefined;
}

export class Host {
  readonly name: string;
  readonly machine: Machine;
  readonly ability: Ability;
  readonly kernel: MemoryKernel;
  readonly way: StoreWay = { state: 'open', breakers: new Set(), failing: 0, troubledUntilMs: 0 };
  readonly handOff = createMemoryHandOff();
  readonly firewall = createMemoryFirewall('nftables');
  readonly tunnelFilter = createMemoryTunnelFilter();
  /** All that subnet.env has held, the latest last. */
  readonly handedOff: SubnetEnv[] = [];
  /** All sessions that its agents have opened. */
  readonly sessions = new Set<string>();
  wallOffsetMs = 0;
  /** The longest time that the machine's slow processor adds to each step of its agent. */
  lagMs = 0;
  /** Whether it has left the cluster for good. */
  isGone = false;
  readonly foreign: string;
  readonly #cluster: Cluster;
  readonly #onRules = new Set<() => void>();
  readonly #ends: (() => unknown)[] = [];
  #running: Running | undefined;

  /** `name`: for the trace. */
  constructor(cluster: Cluster, name: string, node: NodeIdentity, address: string) {
    this.#cluster = cluster;
    this.name = name;
    const onLink = `${address.replace(/\.\d+$/, '.0')}/24`;
    this.machine = new Machine(node, address, onLink, () => cluster.clock.monotonicMs());
    this.ability = new Ability(cluster, this);
    this.kernel = createMemoryKernel({ name: 'eth0', prefix: onLink });
    for (const dst of ['0.0.0.0/0', onLink, '172.17.0.0/16']) {
      this.kernel.plant({ kind: 'route', type: 'unicast', dst, via: undefined, dev: 'eth0', onlink: false });
    }
    this.foreign = this.kernel.foreign();
  }

  get life(): Life | undefined {
    return this.#running?.life;
  }

  get witness(): Witness | undefined {
    return this.#running?.witness;
  }

  get node(): Node | undefined {
    return this.#running?.node;
  }

  get facts(): HostFacts {
    return this.machine.facts;
  }

  /** The machine's address on the underlay. */
  get address(): string {
    return this.machine.address;
  }

  /** The subnet that its agent uses now, as text. */
  get subnetInUse(): string | undefined {
    const subnets = this.#running?.holder?.subnets;
    return subnets === undefined ? undefined : formatSubnets(subnets);
  }

  /** When the agent that runs now started; undefined: none runs. */
  get runsSinceMs(): number | undefined {
    return this.#running?.sinceMs;
  }

  /** Whether the agent that started at this moment still runs, on a machine that has been the same since. */
  isSteadySince(startMs: number): boolean {
    return this.#running?.sinceMs === startMs && this.machine.changedMs < startMs;
  }

  /** The longest time that is added to each step of its agent. */
  get mostLagMs(): number {
    return Math.max(this.lagMs, this.#cluster.weather.now.lagMs);
  }

  /** Starts the agent if it does not run. */
  start(): void {
    const { clock, trace, random, weather, memory, server, laws, judge, sabotage } = this.#cluster;
    const { handOff } = this;
    if (this.#running !== undefined || this.isGone) return;
    trace.note(this.name, 'starts');
    const life = new Life(
      clock,
      () => this.wallOffsetMs,
      () => (this.mostLagMs === 0 ? 0 : random() * this.mostLagMs),
    );
    const witness = new Witness(life, this, (from, to) => laws.switched(this, from, to));
    const stop = new AbortController();
    const handle = memory.open();
    this.#ends.push(
      () => stop.abort(),
      () => handle[Symbol.asyncDispose](),
    );
    const log = laws.volume.metered(this, trace.logger(this.name));
    const deps = { life, clock, random, weather: () => weather.now, trace, host: this.name };
    const way = openSimStore({ ...deps, kv: judge(handle, this), way: this.way, server });
    const kv = witness.onWay(sabotage.requests?.(way) ?? way);
    const store = createKvLeaseStore(kv, {
      prefix: NETWORK_PREFIX,
      clock: life.clock,
      random,
      log,
      configHint: '',
    });
    const heard = witness.over(store);
    const leases = sabotage.leases?.(heard) ?? heard;
    const onApply = (changes: readonly Change[]): void => laws.apply(this, changes);
    const kernel = openSimKernel({ ...deps, kernel: this.kernel, onApply });
    const node = new Node(NODE_OPTIONS, {
      clock: life.clock,
      random,
      log,
      leaseSource: leases,
      configSource: leases.config,
      createHolder: (input) => {
        const more = { store: leases, clock: life.clock, random, renewMarginMinutes: 60 };
        running.holder = new KvLeaseHolder({ ...input, ...more });
        return running.holder;
      },
      kernel: sabotage.kernel?.(kernel) ?? kernel,
      hostSource: {
        read: () => this.#takes('read interfaces', life, () => this.facts),
        watch: (onChange, signal) => this.#listen(this.machine.listeners, life, onChange, signal),
      },
      hostChecks: OPEN_HOST,
      handOff: {
        name: handOff.name,
        previousSubnet: () =>
          this.#takes('read subnet.env', life, () => handOff.previousSubnet()).catch(() => undefined),
        write: async (env) => {
          laws.handOff(this, env);
          return this.#takes('write subnet.env', life, async () => {
            const isNew = await handOff.write(env);
            if (isNew) this.handedOff.push(env);
            if (isNew) trace.note(this.name, `subnet.env ${formatPrefix(env.subnet)} mtu ${env.mtuBytes}`);
            return isNew;
          });
        },
        retract: (subnet) => this.#takes('retract', life, () => handOff.retract(subnet)),
      },
      dataPlaneMemory: { resumed: undefined, write: async () => undefined },
      openFirewall: async () => this.#firewall(life),
      tunnelFilter: openSimTunnelFilter(this.tunnelFilter, (work) => this.#takes('filter', life, work)),
      watchRuleset: (onChange, signal) => this.#listen(this.#onRules, life, onChange, signal),
      onReady: async (summary) => trace.note(this.name, `ready: ${summary}`),
      onLarge: () => undefined,
    });
    const sinceMs = clock.monotonicMs();
    const running: Running = { life, witness, node, stop, sinceMs, holder: undefined };
    this.#running = running;
    node.run(stop.signal).then(
      () => this.#ended(running, undefined),
      (error: unknown) => this.#ended(running, error),
    );
  }

  /** Kills the agent at its current await. */
  crash(): void {
    if (this.#running === undefined) return;
    this.#cluster.trace.note(this.name, 'crashes');
    this.#running.life.kill();
    this.#running = undefined;
  }

  /** Releases the listeners at the end. Node keeps a combined signal with a listener until it is aborted. */
  forget(): void {
    this.crash();
    for (const end of this.#ends) end();
  }

  /** Tells the agent to stop, and kills it if it does not stop in time. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#cluster.trace.note(this.name, 'stops');
    running.stop.abort();
    await this.#cluster.clock.sleep(STOP_MS);
    if (this.#running === running) this.crash();
  }

  /** Another program flushes the firewall. */
  flushRules(): void {
    this.firewall.rules = undefined;
    this.tunnelFilter.held = undefined;
    for (const tell of this.#onRules) tell();
  }

  #ended(running: Running, error: unknown): void {
    const { trace, clock, random, laws } = this.#cluster;
    running.life.kill();
    if (this.#running !== running) return;
    this.#running = undefined;
    if (running.stop.signal.aborted) return;
    trace.note(this.name, `ended: ${messageOf(error)}`);
    if (!(error instanceof TwillError) || error.code === 'internal') laws.exit(this, error);
    void clock.sleep(1_000 + random() * 4_000).then(() => this.start());
  }

  // Work of the machine itself. It takes a moment. A killed process may stop before or after it.
  #takes<T>(what: string, life: Life, work: () => T | Promise<T>): Promise<T> {
    const { clock, random, weather } = this.#cluster;
    const run = async (): Promise<T> => {
      await clock.sleep(drawDelayMs(random, 20));
      if (life.isOver && random() < 0.5) throw new Error('killed');
      if (random() < weather.now.hostFailures) throw new TwillError('host', `cannot ${what} (simulated)`);
      const result = await work();
      await clock.sleep(drawDelayMs(random, 20));
      return result;
    };
    return life.pass(run());
  }

  #firewall(life: Life): NodeFirewall {
    return {
      ...this.firewall,
      ensure: (rules) =>
        this.#takes('set rules', life, async () => {
          const found = await this.firewall.ensure(rules);
          if (found === 'repaired') for (const tell of this.#onRules) tell();
          return found;
        }),
      remove: () => this.#takes('remove rules', life, () => this.firewall.remove()),
    };
  }

  async #listen(
    listeners: Set<() => void>,
    life: Life,
    onChange: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, random } = this.#cluster;
    const tell = (): void => {
      void life.pass(clock.sleep(drawDelayMs(random, 50))).then(onChange);
    };
    listeners.add(tell);
    const drop = (): void => void listeners.delete(tell);
    life.killed.addEventListener('abort', drop, { once: true });
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    drop();
  }
}

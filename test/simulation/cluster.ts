// A simulated cluster: its hosts, store, time and random numbers, all made from one seed.
import type { Random } from '../../agent/base/random.ts';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import { createLeaseKeys, isLease } from '../../agent/datastore/lease-keys.ts';
import type { Backend } from '../../agent/model/backend.ts';
import type { Kernel } from '../../agent/model/kernel.ts';
import type { Kv, KvEntry } from '../../agent/model/kv.ts';
import type { Lease, NodeIdentity } from '../../agent/model/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../agent/model/network-config.ts';
import { createBackend } from '../../backends/index.ts';
import { createMemoryStore, type MemoryStore } from '../fakes/memory-kv.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../fakes/virtual-clock.ts';
import type { Fault } from './faults/fault.ts';
import { Host, NETWORK_PREFIX } from './host.ts';
import { judgedKv, Laws } from './laws.ts';
import type { StoreServer } from './sim-store.ts';
import { createTrace, type Trace } from './trace.ts';
import { drawWeather, FAIR, type Weather } from './weather.ts';

/** A deliberate fault in the world of every node, to check that the simulation notices it. */
export interface Sabotage {
  /** Changes the store that all nodes share. */
  readonly kv?: (kv: Kv) => Kv;
  /** Changes the answers and events that a node gets from the store. */
  readonly leases?: (store: KvLeaseStore) => KvLeaseStore;
  readonly kernel?: (kernel: Kernel) => Kernel;
  /** Changes the requests of a node to the store. */
  readonly requests?: (kv: Kv) => Kv;
  /** The laws that are judged, where others would break before them; undefined: all. */
  readonly judges?: RegExp;
}

const KEYS = createLeaseKeys(NETWORK_PREFIX);

/** The machine id and the host name of a machine image. */
const IMAGE = { id: 'ffffffff00000000', name: 'ubuntu' };
const MACHINES = 0x6d616368;

const NETWORKS = [
  { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } },
  { Network: '10.5.0.0/16', Backend: { Type: 'vxlan', VNI: 7, Port: 4789 } },
  { Network: '10.5.0.0/17', SubnetLen: 24, Backend: { Type: 'vxlan', DirectRouting: true } },
  { Network: '10.5.0.0/17', SubnetLen: 24, Backend: { Type: 'host-gw' } },
  { Network: '10.5.0.0/16', Backend: { Type: 'alloc' } },
] as const;

const MOST_HOSTS = 8;
const FEWEST_HOSTS = 3;
/** With a hostile writer: fewer nodes show as much, and more seeds fit into an hour. */
const HOSTILE = { fewestHosts: 2, mostHosts: 5, mostDelayMs: 200 };
/** Seeds in which machines come from one image, have no card, start at once, or are slow. */
const SHARES = { clones: 0.25, cardless: 0.1, atOnce: 0.25, slow: 0.15 };
const MOST_LAG_MS = 1_000;

/** The beginning of a cluster. */
export interface Scene {
  readonly hosts: number;
  /** The share of the machines that come from one image: they share machine id and host name. */
  readonly clones: number;
  /** Whether all agents start at one moment. */
  readonly startsAtOnce: boolean;
  /** The longest time that slow processors add to each step of every agent before the world is fair. */
  readonly lagMs: number;
  /** Struck one after the other, in fair weather; undefined: weather and faults are drawn by chance. */
  readonly faults: readonly Fault[] | undefined;
  /** Whether somebody writes junk under the network's prefix, see `hostile`; default false. */
  readonly isHostile?: boolean;
}

export class Cluster {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly memory: MemoryStore;
  readonly server: StoreServer = { restarts: 0, ends: 0 };
  /** A handle of the store that never fails, for changes by others. */
  readonly admin: Kv;
  readonly laws: Laws;
  readonly hosts: Host[] = [];
  readonly weather: { now: Weather };
  readonly configText: string;
  readonly config: NetworkConfig;
  readonly sabotage: Sabotage;
  readonly judge: (kv: Kv, host: Host) => Kv;
  /** For the machines and their faults, so that those change no other draw. */
  readonly machineRandom: Random;
  readonly #leasesIn = new WeakMap<KvEntry, readonly [Lease] | readonly []>();
  readonly scene: Scene;
  #identities = 0;

  /** Whether junk of a hostile writer stays for good. */
  hasJunk = false;

  /** `scene` undefined: drawn by chance; `hostile`: drawn too, with a hostile writer. */
  constructor(seed: number, sabotage: Sabotage, scene?: Scene | 'hostile', show?: (line: string) => void) {
    this.random = seededRandom(seed);
    this.clock = createVirtualClock(() => this.laws.rest());
    this.trace = createTrace(() => this.clock.monotonicMs(), show);
    this.memory = createMemoryStore(this.clock);
    this.admin = this.memory.open();
    this.laws = new Laws(this);
    this.sabotage = sabotage;
    this.judge = (kv, host) => judgedKv(this, sabotage.kv?.(kv) ?? kv, host);
    this.machineRandom = seededRandom(seed ^ MACHINES);
    const weather = drawWeather(this.random);
    this.configText = JSON.stringify(this.pick(NETWORKS));
    this.config = parseNetworkConfig(this.configText, 'config');
    this.scene =
      scene === 'hostile'
        ? drawHostileScene(this.random)
        : (scene ?? drawScene(this.random, this.machineRandom));
    const { isHostile, faults, lagMs } = this.scene;
    const drawn = isHostile === true ? withoutHostFailures(weather) : weather;
    this.weather = { now: { ...(faults === undefined ? drawn : FAIR), lagMs } };
    for (let i = 0; i < this.scene.hosts; i++) this.addHost();
  }

  /** A random item. */
  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** Adds a machine, whose agent does not run yet. `address` and `node` undefined: it gets its own. */
  addHost(address?: string, node?: NodeIdentity): Host {
    const index = this.hosts.length + 1;
    // With DirectRouting, some hosts are behind a router.
    const isFar = this.configText.includes('DirectRouting') && index % 3 === 0;
    const own = address ?? `192.168.${isFar ? 78 : 77}.${index}`;
    const host = new Host(this, `h${index}`, node ?? this.#drawIdentity(), own);
    this.hosts.push(host);
    return host;
  }

  /** A machine id, a card and a host name that no machine has had. */
  newIdentity(): NodeIdentity & { readonly mac: string } {
    this.#identities += 1;
    const n = this.#identities.toString(16);
    const mac = `52:54:00:00:${n.padStart(4, '0').replace(/^(..)/, '$1:')}`;
    return { id: n.padStart(16, '0'), mac, name: `node-${n}` };
  }

  /** An address in the network of a host that no host has now. Hosts start with low numbers, strangers with 200. */
  freeAddress({ address }: Host): string {
    for (;;) {
      const free = address.replace(/\d+$/, String(20 + Math.floor(this.random() * 170)));
      if (this.hosts.every((host) => host.address !== free)) return free;
    }
  }

  #drawIdentity(): NodeIdentity {
    const own = this.newIdentity();
    if (this.machineRandom() < this.scene.clones) return { ...own, id: IMAGE.id, name: IMAGE.name };
    return this.machineRandom() < SHARES.cardless ? { ...own, mac: undefined } : own;
  }

  /** The hosts that have not left the cluster. */
  present(): readonly Host[] {
    return this.hosts.filter(({ isGone }) => !isGone);
  }

  /** The leases in the store at this moment. */
  leases(): readonly Lease[] {
    return this.memory.entries().flatMap((entry) => this.#read(entry));
  }

  /** The lease that an entry is; undefined: it is none. */
  leaseIn(entry: KvEntry): Lease | undefined {
    return this.#read(entry)[0];
  }

  // Laws look often, and most entries stay the same.
  #read(entry: KvEntry): readonly [Lease] | readonly [] {
    const known = this.#leasesIn.get(entry);
    if (known !== undefined) return known;
    const found = KEYS.readLease(entry);
    const read = found !== undefined && isLease(found) ? ([found] as const) : ([] as const);
    this.#leasesIn.set(entry, read);
    return read;
  }

  backend(): Promise<Backend> {
    return createBackend(this.config.backend, 'config');
  }

  /** Writes the network configuration and starts every agent at a time of its own. */
  async open(): Promise<void> {
    const { clock, random } = this;
    // The backend is loaded now, so that no node has to wait for the disk.
    await this.backend();
    const write = async (): Promise<void> => {
      await clock.sleep(random() < 0.3 ? random() * 5_000 : 0);
      await this.admin.create(`${NETWORK_PREFIX}/config`, this.configText, undefined);
    };
    void write();
    for (const host of this.hosts) {
      const afterMs = random() < 0.5 ? random() * 5_000 : 0;
      void clock.sleep(this.scene.startsAtOnce ? 0 : afterMs).then(() => host.start());
    }
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    for (const host of this.hosts) host.forget();
    await this.admin[Symbol.asyncDispose]();
  }
}

function drawHostileScene(random: Random): Scene {
  const { fewestHosts, mostHosts } = HOSTILE;
  return {
    hosts: fewestHosts + Math.floor(random() * (mostHosts - fewestHosts + 1)),
    clones: 0,
    startsAtOnce: random() < SHARES.atOnce,
    lagMs: 0,
    faults: undefined,
    isHostile: true,
  };
}

/** A host that refuses changes would lose traffic without any junk. */
function withoutHostFailures(weather: Omit<Weather, 'lagMs'>): Omit<Weather, 'lagMs'> {
  const delayMs = Math.min(weather.delayMs, HOSTILE.mostDelayMs);
  return { ...weather, delayMs, kernelFailures: 0, lostKernelEvents: 0, hostFailures: 0 };
}

function drawScene(random: Random, machineRandom: Random): Scene {
  const is = (share: number): boolean => machineRandom() < share;
  return {
    hosts: FEWEST_HOSTS + Math.floor(random() * (MOST_HOSTS - FEWEST_HOSTS + 1)),
    clones: is(SHARES.clones) ? machineRandom() * 1.5 : 0,
    startsAtOnce: is(SHARES.atOnce),
    lagMs: is(SHARES.slow) ? machineRandom() * MOST_LAG_MS : 0,
    faults: undefined,
  };
}

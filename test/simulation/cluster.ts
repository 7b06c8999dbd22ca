// A simulated cluster: its hosts, store, time and random numbers, all made from one seed.
import type { Random } from '../../agent/base/random.ts';
import type { KvLeaseStore } from '../../agent/datastore/kv-lease-store.ts';
import { createLeaseKeys, isLease } from '../../agent/datastore/lease-keys.ts';
import type { Backend } from '../../agent/model/backend.ts';
import type { Kernel } from '../../agent/model/kernel.ts';
import type { Kv } from '../../agent/model/kv.ts';
import type { Lease } from '../../agent/model/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../agent/model/network-config.ts';
import { createBackend } from '../../backends/index.ts';
import { createMemoryStore, type MemoryStore } from '../fakes/memory-kv.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../fakes/virtual-clock.ts';
import { Host, NETWORK_PREFIX } from './host.ts';
import { judgedKv, Laws } from './laws.ts';
import type { StoreServer } from './sim-store.ts';
import { createTrace, type Trace } from './trace.ts';
import { drawWeather, type Weather } from './weather.ts';

/** A deliberate fault in the world of every node, to check that the simulation notices it. */
export interface Sabotage {
  /** Changes the store that all nodes share. */
  readonly kv?: (kv: Kv) => Kv;
  /** Changes the answers and events that a node gets from the store. */
  readonly leases?: (store: KvLeaseStore) => KvLeaseStore;
  readonly kernel?: (kernel: Kernel) => Kernel;
}

const NETWORKS = [
  { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } },
  { Network: '10.5.0.0/16', Backend: { Type: 'vxlan', VNI: 7, Port: 4789 } },
  { Network: '10.5.0.0/17', SubnetLen: 24, Backend: { Type: 'vxlan', DirectRouting: true } },
  { Network: '10.5.0.0/17', SubnetLen: 24, Backend: { Type: 'host-gw' } },
  { Network: '10.5.0.0/16', Backend: { Type: 'alloc' } },
] as const;

const MOST_HOSTS = 8;
const FEWEST_HOSTS = 3;

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

  constructor(seed: number, sabotage: Sabotage, show?: (line: string) => void) {
    this.random = seededRandom(seed);
    this.clock = createVirtualClock(() => this.laws.rest());
    this.trace = createTrace(() => this.clock.monotonicMs(), show);
    this.memory = createMemoryStore(this.clock);
    this.admin = this.memory.open();
    this.laws = new Laws(this);
    this.sabotage = sabotage;
    this.judge = (kv, host) => judgedKv(this, sabotage.kv?.(kv) ?? kv, host);
    this.weather = { now: drawWeather(this.random) };
    this.configText = JSON.stringify(this.pick(NETWORKS));
    this.config = parseNetworkConfig(this.configText, 'config');
    const count = FEWEST_HOSTS + Math.floor(this.random() * (MOST_HOSTS - FEWEST_HOSTS + 1));
    for (let i = 0; i < count; i++) this.addHost();
  }

  /** A random item. */
  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** Adds a machine, whose agent does not run yet. `address` undefined: it gets one of its own. */
  addHost(address?: string): Host {
    const index = this.hosts.length + 1;
    // With DirectRouting, some hosts are behind a router.
    const isFar = this.configText.includes('DirectRouting') && index % 3 === 0;
    const host = new Host(this, index, address ?? `192.168.${isFar ? 78 : 77}.${index}`);
    this.hosts.push(host);
    return host;
  }

  /** The hosts that have not left the cluster. */
  present(): readonly Host[] {
    return this.hosts.filter(({ isGone }) => !isGone);
  }

  /** The leases in the store at this moment. */
  leases(): readonly Lease[] {
    const keys = createLeaseKeys(NETWORK_PREFIX);
    return this.memory.entries().flatMap((entry) => {
      const found = keys.readLease(entry);
      return found !== undefined && isLease(found) ? [found] : [];
    });
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
      void clock.sleep(random() < 0.5 ? random() * 5_000 : 0).then(() => host.start());
    }
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    for (const host of this.hosts) host.forget();
    await this.admin[Symbol.asyncDispose]();
  }
}

// The bed of faults: a cluster of two hosts whose containers ping each other, and the checks that show whether it is
// whole.
//
//     etcd ── router ─┬─ h1: agent, c1 ──┐ ping
//                     └─ h2: agent, c2 ◀─┘
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import type { AgentProcess } from '../lab/agent-process.ts';
import { type Cluster, openCluster } from '../lab/cluster.ts';
import { HealthWatch } from '../lab/health-watch.ts';
import type { Host } from '../lab/host.ts';
import { MANY_NETWORK } from '../lab/many-leases.ts';
import type { Namespace } from '../lab/namespace.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { readLeases, type StoredLease } from '../lab/stored-leases.ts';
import { waitFor } from '../lab/wait.ts';
import { type BackendName, wrongLine } from './owned-state.ts';

/** The kind of cluster that a fault needs, beyond two hosts. Faults of one kind share a cluster. */
export type BedKind = 'usual' | 'nftables' | 'three etcds' | 'large network';

/** Whether faults last as long as the table says. Otherwise they last just long enough to be noticed. */
export const IS_FULL: boolean = process.env['TWILL_FULL_FAULTS'] === '1';

/** Leases change seldom, and a request to etcd costs more than a read of a kernel. */
const LEASES_OLD_MS = 300;
const SETTLE_MS = 30_000;
const LOOK_EVERY_MS = 20;

export class FaultBed implements AsyncDisposable {
  readonly backend: BackendName;
  readonly kind: BedKind;
  readonly cluster: Cluster;
  readonly health: readonly HealthWatch[];
  #leases: readonly StoredLease[] = [];
  #leasesReadMs = 0;
  #streams = 0;

  constructor(backend: BackendName, kind: BedKind, cluster: Cluster) {
    this.backend = backend;
    this.kind = kind;
    this.cluster = cluster;
    this.health = cluster.hosts.map((host) => new HealthWatch(host));
  }

  get etcd(): Cluster['etcd'] {
    return this.cluster.etcd;
  }

  host(number: number): Host {
    return this.cluster.lab.host(number);
  }

  agent(number: number): AgentProcess {
    return this.cluster.agent(number);
  }

  /** The first host, the target of most faults. */
  get h1(): Namespace {
    return this.host(1).namespace;
  }

  /** The overlay's device. host-gw has none, so for it the underlay's. */
  get device(): string {
    return { vxlan: 'flannel.1', udp: 'flannel0', 'host-gw': 'eth0' }[this.backend];
  }

  /** The leases as they are now. */
  async leases(): Promise<readonly StoredLease[]> {
    this.#leases = await readLeases(this.etcd);
    this.#leasesReadMs = systemClock.monotonicMs();
    return this.#leases;
  }

  /** The lease of that host; throws if there is none. */
  async leaseOf(number: number): Promise<StoredLease> {
    const subnet = await this.subnetOf(number);
    const lease = (await this.leases()).find((each) => each.subnet === subnet);
    if (lease === undefined) throw new Error(`no lease for ${subnet}`);
    return lease;
  }

  /** `10.5.34.0/24`, from the host's own subnet.env. */
  async subnetOf(number: number): Promise<string> {
    const env = await this.host(number).subnetEnv();
    if (env === undefined) throw new Error(`host ${number} has no subnet`);
    return env.subnet.replace('.1/', '.0/');
  }

  /** Starts a ping from the container of the first host to that of the second. */
  startStream(): PingStream {
    this.#streams += 1;
    const log = join(this.cluster.lab.folder, `stream-${this.#streams}.log`);
    return new PingStream(this.cluster.container(1), this.cluster.container(2), log);
  }

  /** The first difference between the kernels and the leases, in one line; undefined: none. */
  async wrong(): Promise<string | undefined> {
    if (systemClock.monotonicMs() - this.#leasesReadMs > LEASES_OLD_MS) await this.leases();
    const first = await this.#wrongBy(this.#leases);
    if (first !== undefined) return first;
    // The kernels match leases that may be old by now.
    return this.#wrongBy(await this.leases());
  }

  async #wrongBy(leases: readonly StoredLease[]): Promise<string | undefined> {
    const found = await Promise.all(this.cluster.hosts.map((host) => wrongLine(host, this.backend, leases)));
    return found.find((line) => line !== undefined);
  }

  /** Waits until all kernels match the leases, `further` finds nothing either, and all agents are ready. */
  async settle(timeoutMs = SETTLE_MS, further?: () => Promise<string | undefined>): Promise<void> {
    await waitUntilRight(timeoutMs, async () => (await this.wrong()) ?? (await further?.()));
    await this.waitReady(timeoutMs);
  }

  /** Waits until all agents report ready. */
  async waitReady(timeoutMs: number): Promise<void> {
    await waitUntilRight(timeoutMs, async () => {
      const answers = await Promise.all(this.health.map((watch) => watch.last('/readyz')));
      const index = answers.findIndex((answer) => answer?.status !== '200');
      return index < 0 ? undefined : `h${index + 1} is not ready: ${answers[index]?.text ?? 'no answer'}`;
    });
  }

  /** Waits until the agent of that host reports that it is not ready, and returns the reason. */
  async waitUnready(number: number, timeoutMs: number): Promise<string> {
    return waitFor(`the agent of h${number} says that it is not ready`, timeoutMs, async () => {
      const last = await this.health[number - 1]?.last('/readyz');
      return last?.status === '503' && last.text;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
  }
}

/**
 * Looks until nothing is wrong. Returns the start of the last look, on the wall clock. After `timeoutMs` it throws the
 * last finding. `look` returns one line, or undefined.
 */
export async function waitUntilRight(
  timeoutMs: number,
  look: () => Promise<string | undefined>,
): Promise<number> {
  let wrong: string | undefined;
  const isRight = async (): Promise<number | undefined> => {
    const fromMs = systemClock.wallMs();
    wrong = await look();
    return wrong === undefined ? fromMs : undefined;
  };
  return waitFor('healed', timeoutMs, isRight, LOOK_EVERY_MS).catch((error: unknown) => {
    throw wrong === undefined ? error : new Error(`not within ${timeoutMs} ms: ${wrong}`, { cause: error });
  });
}

/** Makes a bed. */
export async function openFaultBed(backend: BackendName, kind: BedKind): Promise<FaultBed> {
  const cluster = await openCluster({
    hosts: 2,
    backend: { Type: backend },
    // The subnets after it are for leases of nodes without a host.
    network: {
      ...(kind === 'large network' ? { Network: MANY_NETWORK, SubnetLen: 24 } : {}),
      SubnetMin: '10.5.1.0',
      SubnetMax: '10.5.149.0',
      EnableNFTables: kind === 'nftables',
    },
    etcdMembers: kind === 'three etcds' ? 3 : 1,
    // The interval is so long that only a watch can restore the rules in time.
    flags: ['--ip-masq', '--iptables-resync=600'],
  });
  const bed = new FaultBed(backend, kind, cluster);
  try {
    await bed.settle();
    return bed;
  } catch (error) {
    await bed[Symbol.asyncDispose]();
    throw error;
  }
}

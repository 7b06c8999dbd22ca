// A lab whose hosts run agents: a datastore, agents, and one container a host.
import { ROUTE_PROTOCOL } from '../../agent/model/kinds/route.ts';
import { type AgentProcess, HEALTHZ_PORT } from './agent-process.ts';
import type { Container } from './container.ts';
import { type LabEtcd, startLabEtcd } from './datastore.ts';
import { type Host, type Lab, OVERLAY, openLab } from './lab.ts';
import { ping } from './ping.ts';
import { waitFor } from './wait.ts';

const ROUTE_PROTOCOL_TEXT = ` proto ${ROUTE_PROTOCOL}`;

export interface ClusterOptions {
  readonly hosts: number;
  /** Numbers of the hosts behind the router. */
  readonly routed?: readonly number[];
  /** `Backend` of the network configuration. */
  readonly backend: Readonly<Record<string, unknown>> & { readonly Type: string };
  /** Further fields of the network configuration. */
  readonly network?: Readonly<Record<string, unknown>>;
  /** Flags of each agent beside the store's. */
  readonly flags?: readonly string[];
  /** Members of the etcd cluster; default 1. */
  readonly etcdMembers?: number;
  /** Whether each host gets a container; default true. */
  readonly containers?: boolean;
  /** Called before the first agent starts. */
  readonly prepare?: (cluster: Cluster) => Promise<void>;
}

export class Cluster implements AsyncDisposable {
  readonly lab: Lab;
  readonly etcd: LabEtcd;
  readonly #flags: readonly string[];
  readonly #agents = new Map<Host, AgentProcess>();

  constructor(lab: Lab, etcd: LabEtcd, flags: readonly string[]) {
    this.lab = lab;
    this.etcd = etcd;
    this.#flags = flags;
  }

  get hosts(): readonly Host[] {
    return this.lab.hosts;
  }

  /** The agent started last on that host; hosts count from 1. */
  agent(number: number): AgentProcess {
    const agent = this.#agents.get(this.lab.host(number));
    if (agent === undefined) throw new Error(`no agent was started on host ${number}`);
    return agent;
  }

  /** The first container of that host; hosts count from 1. */
  container(number: number): Container {
    const [container] = this.lab.host(number).containers;
    if (container === undefined) throw new Error(`host ${number} has no container`);
    return container;
  }

  /** Pairs of each host's first container with each other host's. */
  pairs(): [from: Container, to: Container][] {
    const all = this.hosts.map((_, index) => this.container(index + 1));
    return all.flatMap((from) =>
      all.filter((to) => to !== from).map((to): [Container, Container] => [from, to]),
    );
  }

  /** The flags of every agent of the cluster. */
  get flags(): readonly string[] {
    return [...this.etcd.flags, '--iface=eth0', `--healthz-port=${HEALTHZ_PORT}`, ...this.#flags];
  }

  /** Starts an agent on that host, and waits until it is ready. Hosts count from 1. */
  async startAgent(number: number, extra: readonly string[] = []): Promise<AgentProcess> {
    const host = this.lab.host(number);
    const agent = host.startAgent([...this.flags, ...extra]);
    this.#agents.set(host, agent);
    await agent.waitReady();
    return agent;
  }

  /** Waits until that host has routes to `count` other hosts. */
  async waitForRoutes(number: number, count: number): Promise<void> {
    await waitFor(`host ${number} has ${count} routes`, 5_000, async () => {
      return (await this.routes(number)).length === count;
    });
  }

  /** Waits until every host reaches every other at its end of the tunnel. Routes may stand before a tunnel is open. */
  async waitForTunnels(): Promise<void> {
    for (const from of this.hosts) {
      for (const to of this.hosts) {
        const address = (await to.subnetEnv())?.subnet.replace(/\.1\/24$/, '.0') ?? '';
        await waitFor(`${from.name} reaches ${to.name}`, 5_000, async () => {
          return from === to || (await ping(from.namespace, address)).received > 0;
        });
      }
    }
  }

  /** The routes of that host's agent to other hosts' subnets, as `ip route` prints them, sorted. */
  async routes(number: number): Promise<string[]> {
    const text = await this.lab.host(number).namespace.run(['ip', '-4', 'route', 'show', 'root', OVERLAY]);
    const lines = text.split('\n').map((line) => line.trim());
    const leads = (line: string): boolean => line.includes(' via ') || line.includes(' dev flannel0 ');
    return lines.filter((line) => leads(line) && line.includes(ROUTE_PROTOCOL_TEXT)).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.close();
  }
}

/** Opens a cluster whose agents are ready and know each other. If a step fails, removes the parts made before. */
export async function openCluster(options: ClusterOptions): Promise<Cluster> {
  const lab = await openLab(options);
  try {
    const etcd = await startLabEtcd(lab, options.etcdMembers);
    await etcd.setNetwork({ Network: OVERLAY, ...options.network, Backend: options.backend });
    const cluster = new Cluster(lab, etcd, options.flags ?? []);
    await options.prepare?.(cluster);
    const numbers = cluster.hosts.map((_, index) => index + 1);
    await Promise.all(numbers.map((number) => cluster.startAgent(number)));
    const { Type: type } = options.backend;
    if (type !== 'udp')
      await Promise.all(numbers.map((number) => cluster.waitForRoutes(number, cluster.hosts.length - 1)));
    if (type === 'udp' || type === 'vxlan') await cluster.waitForTunnels();
    if (options.containers !== false) for (const host of cluster.hosts) await host.addContainer();
    return cluster;
  } catch (error) {
    await lab.close();
    throw error;
  }
}

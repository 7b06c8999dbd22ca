// A cluster whose hosts run a Podman each, for the tests of one describe block.
import { mkdir } from 'node:fs/promises';
import { afterAll, beforeAll } from 'vitest';
import { type Cluster, type ClusterOptions, openCluster } from '../lab/cluster.ts';
import type { EngineContainer } from '../lab/engines/engine.ts';
import { NETWORK_FILES, type Podman, type PodmanOptions, startPodman } from '../lab/engines/podman.ts';
import { NETWORK, writeNetworkFile } from '../lab/engines/podman-network.ts';
import { type PodmanRelease, readPodman4, readPodman5 } from '../lab/engines/podmans.ts';
import type { Host } from '../lab/host.ts';
import { allOf, NEEDS_CLUSTER, type Need } from '../support/needs.ts';

export const PODMAN_4: PodmanRelease = await readPodman4();
export const PODMAN_5: PodmanRelease = await readPodman5();

/** A Podman, and how it is set up. */
export interface PodmanKind extends PodmanOptions {
  readonly name: string;
  readonly release: PodmanRelease;
}

/** netavark by each firewall: one host each. */
export const NETAVARKS: readonly PodmanKind[] = [
  { name: 'Podman 4', release: PODMAN_4 },
  { name: 'Podman 5', release: PODMAN_5 },
  { name: 'Podman 5 by iptables', release: PODMAN_5, firewall: 'iptables' },
];

/** A need for these Podmans on hosts of a cluster. */
export function needsPodman(...releases: readonly PodmanRelease[]): Need {
  const needs = releases.map(({ missing }) => ({ missing: missing !== undefined, reason: missing ?? '' }));
  return allOf(NEEDS_CLUSTER, ...needs);
}

export interface PodmanHost {
  readonly host: Host;
  readonly podman: Podman;
  /** A container with a web server. */
  readonly web: EngineContainer;
}

export interface PodmanBed {
  readonly cluster: Cluster;
  /** In the order of the kinds. */
  readonly hosts: readonly PodmanHost[];
  /** The containers of all ordered pairs of hosts. */
  readonly pairs: readonly (readonly [from: EngineContainer, to: EngineContainer])[];
}

/**
 * As many hosts as kinds. Each has a ready agent, a Podman with a network on its subnet, and a container in that.
 * `writeNetwork` writes the network's file where no agent does.
 */
export function usePodmans(
  kinds: readonly PodmanKind[],
  options: Partial<ClusterOptions> = {},
  writeNetwork: (host: Host) => Promise<void> = (host) => writeNetworkFile(host),
): () => PodmanBed {
  let cluster: Cluster | undefined;
  let bed: PodmanBed | undefined;
  beforeAll(async () => {
    cluster = await openCluster({
      hosts: kinds.length,
      backend: { Type: 'vxlan' },
      flags: ['--ip-masq'],
      containers: false,
      prepare: async ({ hosts }) => {
        for (const host of hosts) await mkdir(host.path(NETWORK_FILES), { recursive: true });
      },
      ...options,
    });
    const hosts = await Promise.all(
      kinds.map(async (kind, index) => {
        const host = (cluster as Cluster).lab.host(index + 1);
        await writeNetwork(host);
        const podman = await startPodman(host, kind.release, { network: NETWORK, ...kind });
        return { host, podman, web: await podman.run(`web${index + 1}`) };
      }),
    );
    const webs = hosts.map(({ web }) => web);
    const pairs = webs.flatMap((from) => webs.filter((to) => to !== from).map((to) => [from, to] as const));
    bed = { cluster, hosts, pairs };
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  });
  return () => {
    if (bed === undefined) throw new Error('the hosts do not stand');
    return bed;
  };
}

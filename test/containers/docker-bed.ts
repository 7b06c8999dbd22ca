// Two hosts with an agent and a real dockerd each, for the tests of one describe block.
import { afterAll, beforeAll } from 'vitest';
import { type Cluster, type ClusterOptions, openCluster } from '../lab/cluster.ts';
import { type Docker, type DockerOptions, startDocker } from '../lab/engines/dockerd.ts';
import { DOCKER_SUITES, type DockerRelease, dockerFlags, readDocker } from '../lab/engines/dockers.ts';
import type { EngineContainer } from '../lab/engines/engine.ts';
import type { Host, SubnetEnv } from '../lab/host.ts';
import { ROUTER_ADDRESS } from '../lab/lab.ts';
import { allOf, NEEDS_CLUSTER, type Need } from '../support/needs.ts';

/** Each release, with the reason where the machine cannot start it. */
export const DOCKERS: readonly DockerRelease[] = await Promise.all(DOCKER_SUITES.map(readDocker));

/** A need for a release of Docker on hosts of a cluster. */
export function needsDocker({ missing }: DockerRelease): Need {
  return allOf(NEEDS_CLUSTER, { missing: missing !== undefined, reason: missing ?? '' });
}

export interface DockerBedOptions extends Partial<ClusterOptions> {
  readonly release: DockerRelease;
  /** How dockerd is started for a subnet. Default: as README says. */
  readonly docker?: (env: SubnetEnv) => DockerOptions;
}

export class DockerBed {
  readonly cluster: Cluster;
  readonly dockers: readonly Docker[];
  readonly #containers: readonly EngineContainer[];

  constructor(cluster: Cluster, dockers: readonly Docker[], containers: readonly EngineContainer[]) {
    this.cluster = cluster;
    this.dockers = dockers;
    this.#containers = containers;
  }

  /** The dockerd of that host; hosts count from 1. */
  docker(number: number): Docker {
    return at(this.dockers, number);
  }

  /** The container `web` of that host; hosts count from 1. */
  container(number: number): EngineContainer {
    return at(this.#containers, number);
  }

  /** Both containers as client and server, each way round. */
  get pairs(): readonly (readonly [from: EngineContainer, to: EngineContainer])[] {
    const [one, two] = [this.container(1), this.container(2)];
    return [
      [one, two],
      [two, one],
    ];
  }
}

function at<T>(items: readonly T[], number: number): T {
  const item = items[number - 1];
  if (item === undefined) throw new Error(`there is no host ${number}`);
  return item;
}

/** The oldest and the newest release: most of what differs lies between them. */
export const OLDEST_AND_NEWEST: readonly DockerRelease[] = DOCKERS.filter(
  (_, index) => index === 0 || index === DOCKERS.length - 1,
);

/** Nothing serves names on the router, which says so: an unknown name is refused at once. */
export const NO_NAME_SERVER: string = `--dns=${ROUTER_ADDRESS}`;

/** Two hosts whose agents are ready, each with a dockerd and a container named `web`. */
export function useDockers({ release, docker, ...options }: DockerBedOptions): () => DockerBed {
  const cluster = {
    hosts: 2,
    backend: { Type: 'vxlan' },
    flags: ['--ip-masq'],
    containers: false,
    ...options,
  };
  let opened: Cluster | undefined;
  let bed: DockerBed | undefined;
  beforeAll(async () => {
    opened = await openCluster(cluster);
    const { hosts } = opened;
    const dockers = await Promise.all(
      hosts.map(async (host) => {
        const env = await host.waitForSubnetEnv();
        return startDocker(host, release, docker?.(env) ?? { flags: dockerFlags(env) });
      }),
    );
    const containers = await Promise.all(
      dockers.map((started) => started.run('web', { options: [NO_NAME_SERVER] })),
    );
    bed = new DockerBed(opened, dockers, containers);
  });
  afterAll(async () => {
    await opened?.[Symbol.asyncDispose]();
  });
  return () => {
    if (bed === undefined) throw new Error('the hosts do not stand');
    return bed;
  };
}

/** Whether our chains come first where Docker puts its own. */
export async function jumpsAreFirst({ namespace }: Host): Promise<boolean> {
  const isFirst = async (table: string, chain: string, own: string): Promise<boolean> => {
    const saved = await namespace.run(['iptables-save', '-t', table]);
    return new RegExp(`^-A ${chain} (.*)$`, 'm').exec(saved)?.[1]?.includes(`-j ${own}`) === true;
  };
  return (
    (await isFirst('filter', 'FORWARD', 'FLANNEL-FWD')) &&
    (await isFirst('nat', 'POSTROUTING', 'FLANNEL-POSTRTG'))
  );
}

// Two hosts with systemd, one of each release of Debian, and etcd beside them.
import { afterAll, beforeAll } from 'vitest';
import type { Container } from '../lab/container.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { type DebianHost, readDebianHosts } from '../lab/systemd/debian-hosts.ts';
import { installTwill } from '../lab/systemd/install-twill.ts';
import { System } from '../lab/systemd/system.ts';
import { allOf, NEEDS_CLUSTER, type Need, needsProgram } from '../support/needs.ts';

/** Each release, with the reason where the machine cannot boot it. */
export const HOSTS: readonly DebianHost[] = await readDebianHosts();

export const NEEDS_HOSTS: Need = needsHosts(HOSTS);

/** What a bed with a host of each of these releases needs. */
export function needsHosts(releases: readonly DebianHost[]): Need {
  const missing = releases.map((host) => ({
    missing: host.missing !== undefined,
    reason: host.missing ?? '',
  }));
  return allOf(NEEDS_CLUSTER, needsProgram('systemd-nspawn'), ...missing);
}

export class HostsBed {
  readonly lab: Lab;
  readonly etcd: LabEtcd;
  /** In the order of the releases. */
  readonly systems: readonly System[];
  readonly #releases: readonly DebianHost[];

  constructor(lab: Lab, etcd: LabEtcd, systems: readonly System[], releases: readonly DebianHost[]) {
    this.lab = lab;
    this.etcd = etcd;
    this.systems = systems;
    this.#releases = releases;
  }

  /** The settings of an agent of this bed. */
  get settings(): Readonly<Record<string, string>> {
    return { FLANNELD_ETCD_ENDPOINTS: this.etcd.url, FLANNELD_IFACE: 'eth0' };
  }

  /** The host with that release. */
  system(release: DebianHost): System {
    const system = this.systems[this.#releases.indexOf(release)];
    if (system === undefined) throw new Error(`there is no host with ${release.title}`);
    return system;
  }
}

export const UNIT = 'twill.service';

/** The exposure of the unit by `systemd-analyze security`, of 10, with the report. */
export async function exposureOf(
  system: System,
): Promise<{ readonly exposure: number; readonly report: string }> {
  const report = await system.run('systemd-analyze', 'security', '--no-pager', UNIT);
  return { exposure: Number(/Overall exposure level for \S+ ([\d.]+)/.exec(report)?.[1]), report };
}

/** A container on the host's bridge, with the addresses that Docker would give it. */
export async function addContainer(system: System): Promise<Container> {
  const subnet = `${await subnetOf(system)}.1/24`;
  const env = { network: OVERLAY, subnet, mtuBytes: 1_450, ipMasq: false };
  return system.host.containers[0] ?? system.host.addContainer(env);
}

/** The first three numbers of a host's subnet: `10.5.34`. */
export async function subnetOf(system: System): Promise<string> {
  const text = await system.run('cat', '/run/flannel/subnet.env');
  return /^FLANNEL_SUBNET=(.*)\.1\/24$/m.exec(text)?.[1] ?? '';
}

/**
 * Opens a bed before the tests of a describe block, and closes it after them. The unit is installed, and not started.
 * There is one host of each of the `releases`.
 */
export function useHosts(releases: readonly DebianHost[] = HOSTS): () => HostsBed {
  let bed: HostsBed | undefined;
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = await openLab({ hosts: releases.length });
    const etcd = await startLabEtcd(lab);
    await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
    const { hosts } = lab;
    const folderOf = (place: number): string => releases[place]?.folder ?? '';
    const systems = await Promise.all(hosts.map((host, place) => System.boot(host, folderOf(place))));
    bed = new HostsBed(lab, etcd, systems, releases);
    for (const system of systems) await installTwill(system, bed.settings);
  });
  afterAll(async () => {
    await lab?.close();
  });
  return () => {
    if (bed === undefined) throw new Error('the bed is not open');
    return bed;
  };
}

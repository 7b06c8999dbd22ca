// Hosts of the lab as the VMs of the Vagrantfile: Debian 13 with systemd, and the files that Vagrant copies. Each step
// of a VM is one of the scripts that Vagrant runs there, with the same arguments but for the addresses.
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecResult } from '../../../agent/base/exec.ts';
import type { Lab } from '../lab.ts';
import { run } from '../namespace.ts';
import { PROJECT_ROOT } from '../paths.ts';
import { System } from './system.ts';

/** The folders of a VM that Vagrant fills. */
const SCRIPTS = '/opt/twill-demo';
const PACKAGES = '/opt/twill-packages';
/** A step waits three minutes at most. */
const STEP_MS = 240_000;
const BUILD_MS = 120_000;

export interface DemoVm {
  /** `n1`, as in the Vagrantfile. */
  readonly name: string;
  readonly address: string;
  readonly system: System;
  /** The scripts of deploy/vagrant that make it a node, in order, with their arguments. */
  readonly steps: readonly DemoStep[];
}

export interface DemoStep {
  /** `node`: the script is node.sh. */
  readonly name: string;
  readonly args: readonly string[];
}

/** Writes the packages of this checkout into a folder, and returns it. */
export async function buildPackages(folder: string): Promise<string> {
  const script = join(PROJECT_ROOT, 'scripts/package.mjs');
  await run([process.execPath, script, folder], { timeoutMs: BUILD_MS });
  return folder;
}

/** The steps of each VM. The first one of `addresses` has the datastore. */
export function stepsOfVms(
  addresses: Readonly<Record<string, string>>,
  backend: string,
): Readonly<Record<string, readonly DemoStep[]>> {
  const vms = Object.entries(addresses);
  const etcd = vms[0]?.[1] ?? '';
  const matrix = { name: 'matrix', args: vms.map(([name, address]) => `${name}=${address}`) };
  return Object.fromEntries(
    vms.map(([name, address]) => {
      const node = { name: 'node', args: [address, etcd] };
      const datastore = address === etcd ? [{ name: 'etcd', args: [address, backend] }] : [];
      return [name, [node, ...datastore, matrix]];
    }),
  );
}

/**
 * Boots each host of a lab as a VM, and takes it off the network: `plugIn` connects it.
 *
 * @param folder The root of a Debian 13.
 * @param packages A folder with the packages of `npm run package`.
 */
export async function bootDemoVms(
  lab: Lab,
  folder: string,
  packages: string,
  backend: string,
): Promise<readonly DemoVm[]> {
  const nameOf = (place: number): string => `n${place + 1}`;
  const addresses = Object.fromEntries(lab.hosts.map(({ address }, place) => [nameOf(place), address]));
  const steps = stepsOfVms(addresses, backend);
  return Promise.all(
    lab.hosts.map(async (host, place) => {
      await host.namespace.ip('link set eth0 down', 'link delete docker0');
      const system = await System.boot(host, folder);
      await cp(join(PROJECT_ROOT, 'deploy/vagrant'), system.path(SCRIPTS), { recursive: true });
      await cp(packages, system.path(PACKAGES), { recursive: true });
      await system.run('sh', '-ec', BECOME_DEBIAN);
      const name = nameOf(place);
      return { name, address: host.address, system, steps: steps[name] ?? [] };
    }),
  );
}

// The lab's own agent and Node.js go: the package brings the first, and Debian the second. The user and the group are
// those that Debian's packages of etcd and Docker make when apt installs them.
const BECOME_DEBIAN = `
rm /usr/bin/twill
umount /usr/bin/node
useradd --system --home-dir /var/lib/etcd --create-home etcd
groupadd --system --force docker
`;

/** Connects a VM to the others. */
export async function plugIn({ system }: DemoVm): Promise<void> {
  const { namespace, address } = system.host;
  await namespace.ip('link set eth0 up', `route replace default via ${address.replace(/\d+$/, '254')}`);
}

/** Runs a step of a VM as Vagrant does, with any exit code. */
export function runStep({ system }: DemoVm, { name, args }: DemoStep): Promise<ExecResult> {
  return system.exec([`${SCRIPTS}/${name}.sh`, ...args], { timeoutMs: STEP_MS });
}

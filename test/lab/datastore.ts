// The datastore of a lab: a folder that all hosts see, or a real etcd next to the router, where all hosts reach it.
import { join } from 'node:path';
import { runTwill } from './host.ts';
import { type Lab, ROUTER_ADDRESS } from './lab.ts';
import { run } from './namespace.ts';
import { TWILL } from './paths.ts';
import type { LabProcess } from './process.ts';

export interface LabDatastore {
  /** For people. */
  readonly name: string;
  /** The flags that an agent reaches it with. */
  readonly flags: readonly string[];
  /** Writes the network configuration, as an operator would. */
  readonly setNetwork: (config: object) => Promise<void>;
}

export interface LabEtcd extends LabDatastore {
  readonly url: string;
  readonly process: LabProcess;
  /** Runs etcdctl and gives its output. */
  readonly etcdctl: (...args: readonly string[]) => Promise<string>;
}

/** A folder of the lab. */
export function openFolder(lab: Lab): LabDatastore {
  const folder = join(lab.folder, 'store');
  const flags = [`--store=file:${folder}`];
  return {
    name: `folder ${folder}`,
    flags,
    setNetwork: async (config) => {
      await runTwill(['network', 'set', JSON.stringify(config), ...flags]);
    },
  };
}

/** Starts an etcd in the router's namespace and waits until it answers. It ends with the lab. */
export async function startLabEtcd(lab: Lab): Promise<LabEtcd> {
  const url = `http://${ROUTER_ADDRESS}:2379`;
  const peers = 'http://127.0.0.1:2380';
  const process = lab.start('etcd', [
    'etcd',
    '--name=lab',
    `--data-dir=${join(lab.folder, 'etcd')}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=lab=${peers}`,
  ]);
  await process.waitForLine(/ready to serve client requests/, 15_000);
  const flags = [`--etcd-endpoints=${url}`];
  return {
    name: `etcd at ${url}`,
    url,
    process,
    flags,
    etcdctl: (...args) =>
      run(lab.router.command(['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${url}`, ...args])),
    setNetwork: async (config) => {
      await lab.router.run([...TWILL, 'network', 'set', JSON.stringify(config), ...flags]);
    },
  };
}

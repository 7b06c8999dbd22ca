// The datastore of a lab: a folder that all hosts see, or a real etcd next to the router, where all hosts reach it.
import { join } from 'node:path';
import { type EtcdServer, startEtcd } from './etcd.ts';
import { runTwill } from './host.ts';
import { type Lab, ROUTER_ADDRESS } from './lab.ts';
import { run } from './namespace.ts';
import { TWILL } from './paths.ts';

/** Where members of an etcd cluster of a lab reach each other, each one higher than the one before. */
const FIRST_PEER_PORT = 2_480;

/** Several labs may be made at once, each with an etcd that has just been started. */
const SET_MS = 30_000;

export interface LabDatastore {
  /** For people. */
  readonly name: string;
  /** The flags that an agent reaches it with. */
  readonly flags: readonly string[];
  /** Writes the network configuration, as an operator would. */
  readonly setNetwork: (config: object) => Promise<void>;
}

export interface LabEtcd extends LabDatastore {
  /** Of the first member. */
  readonly url: string;
  readonly members: readonly EtcdServer[];
  /** Runs etcdctl, which asks all members, and gives its output. */
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

/**
 * Starts an etcd, or a cluster of several, in the router's namespace and waits until it answers. It ends with the lab.
 * The members' addresses are the router's, the one before it, and so on.
 */
export async function startLabEtcd(lab: Lab, count = 1): Promise<LabEtcd> {
  const numbers = Array.from({ length: count }, (_, index) => index);
  const addresses = numbers.map((index) =>
    ROUTER_ADDRESS.replace(/\d+$/, (last) => String(Number(last) - index)),
  );
  for (const address of addresses.slice(1)) await lab.router.ip(`addr add ${address}/24 dev br1`);
  const peerPorts = numbers.map((index) => FIRST_PEER_PORT + index);
  const members = await Promise.all(
    addresses.map((address, index) =>
      startEtcd({
        address,
        port: 2_379,
        netns: lab.router.name,
        folder: join(lab.folder, `etcd-${index + 1}`),
        member: { index, peerPorts },
      }),
    ),
  );
  const urls = members.map(({ url }) => url).join(',');
  const flags = [`--etcd-endpoints=${urls}`];
  return {
    name: `etcd at ${urls}`,
    url: members[0]?.url ?? '',
    members,
    flags,
    etcdctl: (...args) =>
      run(lab.router.command(['env', 'ETCDCTL_API=3', 'etcdctl', `--endpoints=${urls}`, ...args])),
    setNetwork: async (config) => {
      const argv = [...TWILL, 'network', 'set', JSON.stringify(config), ...flags];
      await lab.router.run(argv, { timeoutMs: SET_MS });
    },
  };
}

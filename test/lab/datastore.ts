// The datastore of a lab: a folder that all hosts see, or a real etcd next to the router, which all hosts reach.
import { join } from 'node:path';
import { type EtcdServer, startEtcd } from './etcd.ts';
import { runTwill } from './host.ts';
import { type Lab, ROUTER_ADDRESS } from './lab.ts';
import { run } from './namespace.ts';
import { TWILL } from './paths.ts';

/** The port for peers of an etcd cluster's first member. Each further member has the next one. */
const FIRST_PEER_PORT = 2_480;

/** Long, because several labs may start an etcd at the same time. */
const SET_MS = 30_000;

export interface LabDatastore {
  /** A name for messages. */
  readonly name: string;
  /** The agent's flags for this datastore. */
  readonly flags: readonly string[];
  /** Writes the network configuration, as an operator would. */
  readonly setNetwork: (config: object) => Promise<void>;
}

export interface LabEtcd extends LabDatastore {
  /** URL of the first member. */
  readonly url: string;
  readonly members: readonly EtcdServer[];
  /** Runs etcdctl against all members and returns its output. */
  readonly etcdctl: (...args: readonly string[]) => Promise<string>;
}

/** Opens a datastore in a folder of the lab. */
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

// Faults of machines that are cloned, changed, restored or slow.
import { keyOf } from '../../../agent/model/host-state.ts';
import type { NodeIdentity } from '../../../agent/model/lease.ts';
import type { Cluster } from '../cluster.ts';
import type { Host } from '../host.ts';
import { aWhile, type Fault, onAll, onHost } from './fault.ts';

const DOWN_MS = 30_000;
const SLOW_MS = 60_000;
/** An answer of a machine this slow still comes while a question waits. */
const MOST_LAG_MS = 600;
/** A process that stands still for this time can still answer. */
const PAUSE_MS = { least: 1_000, most: 9_000 };
const MOST_HOSTS = 8;

export const CLONE_WITH_ADDRESS = onHost('a clone with its address starts', (host, cluster) => {
  cloneOf(host, cluster, host.address)?.start();
});
export const RENAMED = onHost('is renamed', (host, cluster, healed) =>
  whileUpOrDown(host, cluster, healed, () => {
    host.machine.turnInto({ name: cluster.pick(['localhost', 'ubuntu', `${host.name}-new`]) });
  }),
);

export const MACHINE_FAULTS: readonly Fault[] = [
  onHost('a clone of it starts', (host, cluster) => {
    cloneOf(host, cluster)?.start();
  }),
  CLONE_WITH_ADDRESS,
  onHost('a clone takes its place', async (host, cluster, healed) => {
    const clone = cloneOf(host, cluster);
    if (clone === undefined) return;
    await whileDown(host, cluster, () => {
      host.isGone = true;
    });
    await aWhile(cluster, DOWN_MS, healed);
    clone.start();
  }),
  RENAMED,
  onHost('is installed anew', async (host, cluster, healed) => {
    await whileDown(host, cluster, () => {
      emptyKernel(host);
      host.handOff.env = undefined;
      host.machine.turnInto({ id: cluster.newIdentity().id });
    });
    await aWhile(cluster, DOWN_MS, healed);
    host.start();
  }),
  onHost('gets another card', (host, cluster, healed) =>
    whileUpOrDown(host, cluster, healed, () => {
      host.machine.turnInto({ mac: cluster.newIdentity().mac });
    }),
  ),
  onHost('moves to another address', (host, cluster, healed) =>
    whileUpOrDown(host, cluster, healed, () => {
      host.machine.move(cluster.freeAddress(host));
    }),
  ),
  onHost('moves to another interface', (host, cluster, healed) =>
    whileUpOrDown(host, cluster, healed, () => {
      host.machine.turnInto({ mac: cluster.newIdentity().mac });
      host.machine.move(cluster.freeAddress(host));
    }),
  ),
  onHost('swaps addresses with another', async (host, cluster, healed) => {
    const net = host.address.replace(/\d+$/, '');
    const others = cluster
      .present()
      .filter(({ address }) => address !== host.address && address.startsWith(net));
    if (others.length === 0) return;
    const other = cluster.pick(others);
    await host.stop();
    await whileDown(other, cluster, () => {
      host.crash();
      const { address } = host;
      host.machine.move(other.address);
      other.machine.move(address);
    });
    await aWhile(cluster, DOWN_MS, healed);
    host.start();
    if (cluster.random() < 0.5) await aWhile(cluster, DOWN_MS, healed);
    other.start();
  }),
  onHost('is restored from an old snapshot', async (host, cluster, healed) => {
    await whileDown(host, cluster, () => emptyKernel(host));
    const isLong = cluster.random() < 0.5;
    if (isLong) await expire(host, cluster);
    // Another node finds the subnet free.
    if (isLong && hasRoom(cluster) && cluster.random() < 0.7) {
      const taker = cluster.addHost();
      taker.handOff.env = host.handOff.env;
      taker.start();
      await aWhile(cluster, DOWN_MS, healed);
    }
    host.crash();
    if (host.handedOff.length > 0) host.handOff.env = cluster.pick(host.handedOff);
    host.start();
  }),
  onHost('stands still for a moment', ({ life }, { random }) => {
    const { least, most } = PAUSE_MS;
    life?.pause(least + random() * (most - least), random() < 0.5);
  }),
  onHost('its processor is slow for a while', async (host, cluster, healed) => {
    host.lagMs = cluster.random() * MOST_LAG_MS;
    await aWhile(cluster, SLOW_MS, healed);
    host.ability.quicken();
    host.lagMs = 0;
  }),
  onAll('all machines start anew at once', (cluster) => {
    for (const host of cluster.present()) host.crash();
    for (const host of cluster.present()) {
      emptyKernel(host);
      if (cluster.random() < 0.3) host.handOff.env = undefined;
      host.start();
    }
  }),
];

/** A machine from the image of `host`, with its machine id and host name and a card of its own. */
function cloneOf(host: Host, cluster: Cluster, address?: string): Host | undefined {
  const { id, mac, name } = host.facts.node;
  // Without a card it would be the same machine by all that a node can tell.
  if (!hasRoom(cluster) || mac === undefined) return undefined;
  const node: NodeIdentity = { id, mac: cluster.newIdentity().mac, name };
  const clone = cluster.addHost(address, node);
  // The image of a machine in use holds its subnet.env.
  if (cluster.random() < 0.5) clone.handOff.env = host.handOff.env;
  return clone;
}

async function whileUpOrDown(
  host: Host,
  cluster: Cluster,
  healed: AbortSignal,
  change: () => void,
): Promise<void> {
  if (cluster.random() < 0.5) {
    change();
    return;
  }
  await whileDown(host, cluster, change);
  await aWhile(cluster, DOWN_MS, healed);
  host.start();
}

/** Changes a host while its agent does not run. Another fault may start the agent at any other moment. */
async function whileDown(host: Host, { random }: Cluster, change: () => void): Promise<void> {
  if (random() < 0.5) await host.stop();
  host.crash();
  change();
}

function emptyKernel(host: Host): void {
  for (const object of host.kernel.objects()) host.kernel.vanish(keyOf(object));
  host.flushRules();
}

/** Its lease has expired in the time for which it was down. */
async function expire(host: Host, { memory, admin, laws }: Cluster): Promise<void> {
  const own = memory.entries().filter((entry) => laws.ownerOf(entry) === host);
  for (const { session } of own) if (session !== undefined) await admin.closeSession(session);
}

function hasRoom(cluster: Cluster): boolean {
  return cluster.present().length < MOST_HOSTS && cluster.hosts.length < 2 * MOST_HOSTS;
}

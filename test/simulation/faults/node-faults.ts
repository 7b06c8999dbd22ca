// Faults of the agents and their machines.

import { keyOf } from '../../../agent/model/host-state.ts';
import type { Cluster } from '../cluster.ts';
import type { Host } from '../host.ts';
import { aWhile, type Fault, onAll, onHost } from './fault.ts';

const NAMESAKE_MS = 60_000;
const FEWEST_HOSTS = 2;
const MOST_HOSTS = 8;

export const NODE_FAULTS: readonly Fault[] = [
  onHost('its agent is killed', async (host, cluster, healed) => {
    host.crash();
    await aWhile(cluster, 30_000, healed);
    host.start();
  }),
  onHost('its agent is stopped', async (host, cluster, healed) => {
    await host.stop();
    await aWhile(cluster, 30_000, healed);
    host.start();
  }),
  onAll('all agents are killed at once', (cluster) => {
    for (const host of cluster.present()) {
      host.crash();
      void cluster.clock.sleep(cluster.random() * 2_000).then(() => host.start());
    }
  }),
  onHost('the machine is started anew', async (host, cluster, healed) => {
    host.crash();
    for (const object of host.kernel.objects()) host.kernel.vanish(keyOf(object));
    host.flushRules();
    if (cluster.random() < 0.7) host.handOff.env = undefined;
    await aWhile(cluster, 60_000, healed);
    host.start();
  }),
  onHost('its agent is stopped for a while, or its machine', (host, { random }) => {
    host.life?.pause(random() ** 2 * 60_000, random() < 0.5);
  }),
  onHost('its wall clock jumps', (host, { random }) => {
    host.wallOffsetMs += (random() - 0.5) * 10 * 86_400_000;
  }),
  onHost('its MTU changes', (host, cluster) =>
    host.machine.change({ mtuBytes: cluster.pick([1_280, 1_400, 1_500, 9_000]) }),
  ),
  onHost('its address changes', (host, cluster) => {
    const net = netOf(host);
    // The address may belong to a node that has left.
    const gone = cluster.hosts.filter(({ isGone }) => isGone).map((other) => other.address);
    const address =
      cluster.random() < 0.3 && gone.length > 0 ? cluster.pick(gone) : `${net}${freeNumber(cluster)}`;
    if (address.startsWith(net) && cluster.present().every((other) => other.address !== address))
      host.machine.move(address);
  }),
  onHost('its link is down for a while', async (host, cluster, healed) => {
    host.machine.change({ hasCarrier: false });
    await aWhile(cluster, 30_000, healed);
    host.machine.change({ hasCarrier: true });
  }),
  onAll('a node joins', (cluster) => {
    if (hasRoom(cluster)) cluster.addHost().start();
  }),
  onHost('a node joins with its address', async (host, cluster, healed) => {
    if (!hasRoom(cluster)) return;
    const namesake = cluster.addHost(host.address);
    namesake.start();
    await aWhile(cluster, NAMESAKE_MS, healed);
    // Either node may have the address now. The new address is free on every host.
    let address = netOf(namesake) + freeNumber(cluster);
    while (cluster.hosts.some((other) => other.address === address))
      address = netOf(namesake) + freeNumber(cluster);
    namesake.machine.move(address);
  }),
  onHost('leaves for good', (host, cluster) => {
    if (cluster.present().length > FEWEST_HOSTS) leave(host, cluster);
  }),
];

function hasRoom(cluster: Cluster): boolean {
  return cluster.present().length < MOST_HOSTS && cluster.hosts.length < 2 * MOST_HOSTS;
}

/** The network part of a host's address. */
function netOf({ address }: Host): string {
  return address.replace(/\d+$/, '');
}

/** The last number of an address: hosts start with low numbers; strangers have the ones from 200 on. */
function freeNumber({ random }: Cluster): number {
  return 20 + Math.floor(random() * 170);
}

function leave(host: Host, { random }: Cluster): void {
  if (random() < 0.5) host.crash();
  else void host.stop();
  host.isGone = true;
}

// What happens to the agents and their machines.

import { keyOf } from '../../../agent/model/host-state.ts';
import type { Cluster } from '../cluster.ts';
import type { Host } from '../host.ts';
import { aWhile, type Fault, onAll, onHost } from './fault.ts';

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
    if (cluster.random() < 0.7) host.env = undefined;
    await aWhile(cluster, 60_000, healed);
    host.start();
  }),
  onHost('its agent is stopped for a while, or its machine', (host, { random }) => {
    host.life?.pause(random() ** 2 * 60_000, random() < 0.5);
  }),
  onHost('its wall clock jumps', (host, { random }) => {
    host.wallOffsetMs += (random() - 0.5) * 10 * 86_400_000;
  }),
  onAll('a node joins', (cluster) => {
    if (cluster.present().length < MOST_HOSTS && cluster.hosts.length < 2 * MOST_HOSTS)
      cluster.addHost().start();
  }),
  onHost('leaves for good', (host, cluster) => {
    if (cluster.present().length > FEWEST_HOSTS) leave(host, cluster);
  }),
];

function leave(host: Host, { random }: Cluster): void {
  if (random() < 0.5) host.crash();
  else void host.stop();
  host.isGone = true;
}

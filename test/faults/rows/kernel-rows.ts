// Changes by other programs to the overlay in the kernel of the first host.
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../../agent/base/clock.ts';
import { SUBNETS_KEY } from '../../lab/stored-leases.ts';
import { waitFor } from '../../lab/wait.ts';
import type { FaultBed } from '../bed.ts';
import { commands, type Fault } from '../fault.ts';

const SECOND = 1_000;
const FIGHT_SECONDS = 3;
const NAMED_MS = 5 * SECOND;

/** Waits until the log of the first host's agent has a line like this, written since `from` characters. */
async function named(bed: FaultBed, pattern: RegExp, from: number): Promise<void> {
  await waitFor(`the log names ${pattern.source}`, NAMED_MS, async () =>
    pattern.test((await bed.agent(1).log()).slice(from)),
  );
}

/** A route of another program is never replaced: the agent names it, and comes back when it is gone. */
async function takeRoute(bed: FaultBed): Promise<void> {
  const { subnet } = await bed.leaseOf(2);
  const from = (await bed.agent(1).log()).length;
  await bed.h1.ip(`route replace ${subnet} dev lo proto static`);
  await named(bed, /is a route of another program: dev lo proto static/, from);
  const shown = await bed.h1.run(['ip', 'route', 'show', subnet]);
  if (!shown.includes('dev lo')) throw new Error(`the route was replaced: ${shown}`);
  const ready = await bed.health[0]?.last('/readyz');
  if (ready?.status !== '200') throw new Error(`a fault of a peer made the node not ready: ${ready?.text}`);
  await bed.h1.ip(`route delete ${subnet} dev lo`);
}

/** A program of the first host that works against the agent for a while. SUBNET stands for the second host's. */
function fight(script: string): Fault['inject'] {
  return async (bed) => {
    const { subnet } = await bed.leaseOf(2);
    const from = (await bed.agent(1).log()).length;
    const before = await processorSeconds(bed.agent(1).pid);
    await bed.h1.exec(['timeout', String(FIGHT_SECONDS), 'sh', '-c', script.replaceAll('SUBNET', subnet)]);
    await named(bed, /another program undoes our work on route/, from);
    const took = (await processorSeconds(bed.agent(1).pid)) - before;
    if (took > FIGHT_SECONDS / 2) throw new Error(`the agent took ${took} s of processor time`);
    const lines = (await bed.agent(1).log()).slice(from).split('\n').length;
    if (lines > 60) throw new Error(`the agent wrote ${lines} lines`);
  };
}

/** The processor time of a process so far, in seconds. */
async function processorSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** A lease whose route the kernel refuses. The next lease, and readiness, are as if it were not there. */
async function joinFarPeer(bed: FaultBed): Promise<void> {
  const at = (publicIP: string): string => JSON.stringify({ PublicIP: publicIP, BackendType: 'host-gw' });
  const [far, near] = [`${SUBNETS_KEY}10.5.240.0-24`, `${SUBNETS_KEY}10.5.241.0-24`];
  const from = (await bed.agent(1).log()).length;
  const fromMs = systemClock.wallMs();
  try {
    await bed.etcd.etcdctl('put', far, at('192.168.99.9'));
    await named(bed, /192\.168\.99\.9 is not on the link of eth0: host-gw needs all hosts on one link/, from);
    await bed.etcd.etcdctl('put', near, at('192.168.77.99'));
    await waitFor('the next lease is followed', NAMED_MS, async () =>
      (await bed.h1.run(['ip', 'route', 'show', '10.5.241.0/24'])).includes('192.168.77.99'),
    );
  } finally {
    for (const key of [far, near]) await bed.etcd.etcdctl('del', key);
  }
  await named(bed, /the fault of peer 192\.168\.99\.9 .* is over/, from);
  const unready = (await bed.health[0]?.since(fromMs))?.find(
    ({ path, status }) => path === '/readyz' && status !== '200',
  );
  if (unready !== undefined) throw new Error(`a fault of a peer made the node not ready: ${unready.text}`);
}

export const KERNEL_FAULTS: readonly Fault[] = [
  {
    name: 'an overlay route is deleted',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip route delete SUBNET'),
  },
  {
    name: 'a wrong route takes the place of an overlay route, and goes again',
    backends: ['vxlan', 'host-gw'],
    requiredMs: SECOND,
    inject: takeRoute,
  },
  {
    name: 'a program deletes an overlay route every 100 ms, for some seconds',
    backends: ['vxlan', 'host-gw'],
    requiredMs: SECOND,
    inject: fight('while :; do ip route delete SUBNET; sleep 0.1; done'),
  },
  {
    name: 'a program deletes an overlay route whenever it is made, for some seconds',
    backends: ['vxlan'],
    // The pause before a repair may have grown.
    requiredMs: 6 * SECOND,
    inject: fight(
      '(sleep 0.5; ip route delete SUBNET) & ip monitor route | while read -r line; do ' +
        'case $line in Deleted*) ;; *SUBNET*) ip route delete SUBNET;; esac; done',
    ),
  },
  {
    name: 'a peer behind a router joins, and leaves',
    backends: ['host-gw'],
    requiredMs: SECOND,
    traffic: 'flows',
    inject: joinFarPeer,
  },
  {
    name: 'the permanent neighbours are flushed',
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands('ip neigh flush dev DEV nud permanent'),
  },
  {
    name: 'an fdb entry is deleted',
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands('bridge fdb delete MAC dev DEV self'),
  },
  {
    name: 'the overlay link is set down',
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV down'),
  },
  {
    name: 'the overlay link is set down and up',
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV down', 'ip link set DEV up'),
  },
  {
    name: 'the overlay link is deleted',
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link delete DEV'),
  },
  {
    name: "the overlay link's MTU is changed",
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV mtu 1000'),
  },
  {
    name: "the overlay link's MAC is changed",
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV address 02:00:00:00:99:99'),
  },
  {
    name: "the overlay link's address is deleted",
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip -4 address flush dev DEV'),
  },
  {
    name: 'routes and entries of others are put on the overlay link',
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands(
      'ip route add 10.5.240.0/24 via 10.5.240.0 dev DEV onlink proto 84',
      'ip neigh add 10.5.240.0 lladdr 02:00:00:00:00:99 dev DEV nud permanent',
      'bridge fdb add 02:00:00:00:00:99 dev DEV dst 192.168.77.99 self permanent',
    ),
  },
];

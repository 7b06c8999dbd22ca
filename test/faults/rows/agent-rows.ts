// Faults of the agents themselves: they end or freeze, and the world changes meanwhile.

import { strangerLease } from '../../lab/stored-leases.ts';
import type { FaultBed } from '../bed.ts';
import type { Fault, Injected } from '../fault.ts';

const SECOND = 1_000;

/** Stops the agent of the first host by `signal` and starts it again. */
function restart(signal: NodeJS.Signals): Fault['inject'] {
  return async (bed) => {
    await bed.agent(1).stop(signal);
    await bed.cluster.startAgent(1);
  };
}

/** Reboots the second host: kills its agent and removes all of its state from the kernel. */
async function rebootPeer(bed: FaultBed): Promise<void> {
  for (let times = 0; times < 3; times += 1) {
    await bed.agent(2).stop('SIGKILL');
    const { namespace } = bed.host(2);
    if (bed.backend !== 'host-gw') await namespace.exec(['ip', 'link', 'delete', bed.device]);
    await namespace.run(['ip', 'route', 'flush', 'proto', '84']);
    await bed.cluster.startAgent(2);
  }
}

/** While the agent of the first host is down, peers leave, and leftovers of all kinds appear. */
async function leaveStale(bed: FaultBed): Promise<void> {
  const { etcd, h1, backend } = bed;
  const strangers = [1, 2, 3].map((number) => strangerLease(number, backend));
  for (const { key, value } of strangers) await etcd.etcdctl('put', key, value);
  await bed.settle();
  await bed.agent(1).stop('SIGKILL');
  for (const { key } of strangers) await etcd.etcdctl('del', key);
  const own = await bed.subnetOf(1);
  const via =
    backend === 'vxlan' ? ['via', '10.5.240.0', 'dev', 'flannel.1', 'onlink'] : ['via', '192.168.77.2'];
  // It comes before the bridge's own route and hides it.
  await h1.run(['ip', 'route', 'prepend', own, ...via, 'proto', '84']);
  await h1.run('ip route add blackhole 10.5.241.0/24 metric 4294967295 proto 84'.split(' '));
  if (backend === 'vxlan') {
    await h1.ip(
      'link add flannel.7 type vxlan id 7 dstport 8472 local 192.168.77.1 nolearning',
      'addr add 10.5.0.9/32 dev flannel.7',
      'addr add 10.5.0.9/32 dev flannel.1',
      'link set flannel.7 up',
      'neigh replace 10.5.240.0 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent',
    );
    await h1.run([
      'bridge',
      'fdb',
      'add',
      '02:00:00:00:00:99',
      'dev',
      'flannel.1',
      'dst',
      '192.168.77.9',
      'self',
    ]);
  }
  await bed.cluster.startAgent(1);
}

/** Suspends the agent of the first host, ends its lease, runs `meanwhile`, and resumes the agent. */
function sleepThrough(meanwhile: (bed: FaultBed, key: string) => Promise<Injected | void>): Fault['inject'] {
  return async (bed) => {
    const { key, session = '' } = await bed.leaseOf(1);
    const { pid } = bed.agent(1);
    process.kill(pid, 'SIGSTOP');
    try {
      await bed.etcd.etcdctl('lease', 'revoke', session);
      return await meanwhile(bed, key);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  };
}

export const AGENT_FAULTS: readonly Fault[] = [
  ...(['SIGTERM', 'SIGKILL'] as const).flatMap((signal): Fault[] => [
    {
      name: `an agent is ended by ${signal} and started again`,
      backends: ['vxlan', 'host-gw'],
      requiredMs: SECOND,
      traffic: 'flows',
      hitsAgent: true,
      inject: restart(signal),
    },
    {
      name: `an agent is ended by ${signal} and started again`,
      backends: ['udp'],
      requiredMs: SECOND,
      hitsAgent: true,
      inject: restart(signal),
    },
  ]),
  {
    name: 'a peer is rebooted three times',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    hitsAgent: true,
    inject: rebootPeer,
  },
  {
    name: 'peers leave and leftovers come while the agent is away',
    backends: ['vxlan', 'host-gw'],
    requiredMs: SECOND,
    hitsAgent: true,
    inject: leaveStale,
  },
  {
    name: 'an agent is suspended until its lease has ended',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: 5 * SECOND,
    hitsAgent: true,
    inject: sleepThrough(async () => undefined),
  },
  {
    name: 'an agent is suspended until somebody else has its subnet',
    backends: ['vxlan'],
    requiredMs: 5 * SECOND,
    hitsAgent: true,
    traffic: 'ends',
    mayMove: true,
    inject: sleepThrough(async ({ etcd }, key) => {
      await etcd.etcdctl('put', key, strangerLease(1, 'vxlan').value);
    }),
  },
];

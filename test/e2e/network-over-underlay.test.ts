// A network that covers the underlay and the datastore, as 10.0.0.0/8 does in a company network of 10.x.
import { describe, expect, it } from 'vitest';
import { ROUTER_ADDRESS } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { useCluster } from './cluster.ts';

describe.skipIf(NEEDS_CLUSTER.missing)(title('a network over the underlay', NEEDS_CLUSTER), () => {
  // Host 2 reaches the router and the datastore through its default gateway, which is in the network too.
  const cluster = useCluster({
    hosts: 2,
    routed: [2],
    backend: { Type: 'udp' },
    network: { Network: '192.168.0.0/16', SubnetMin: '192.168.128.0' },
  });

  it('all containers and all hosts reach each other, and hosts reach the datastore', async () => {
    for (const [from, to] of cluster().pairs()) {
      expect((await ping(from.namespace, to.address, { count: 3 })).received).toBe(3);
    }
    const [first, second] = [cluster().lab.host(1), cluster().lab.host(2)];
    expect((await ping(first.namespace, second.address, { count: 3 })).received).toBe(3);
    expect((await ping(second.namespace, ROUTER_ADDRESS, { count: 3 })).received).toBe(3);
  });
});

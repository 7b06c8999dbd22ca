// netavark 2, which no Debian has: its rules are made by hand, as its documentation describes them. It has a table of
// its own, as 1.14 has, and keeps its networks apart unless they ask for the opposite.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, openCluster } from '../lab/cluster.ts';
import { sourceSeen } from '../lab/datagram.ts';
import type { Host } from '../lab/host.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';

/** The port of `sourceSeen`. */
const PORT = 5_300;
const VARIANTS = [
  { backend: 'vxlan', nft: false },
  { backend: 'vxlan', nft: true },
  { backend: 'host-gw', nft: true },
  { backend: 'udp', nft: false },
].map((variant) => ({ ...variant, firewall: variant.nft ? 'nftables' : 'iptables' }));

describe.skipIf(NEEDS_CLUSTER.missing).each(VARIANTS)(
  title('the rules of netavark 2, $backend by $firewall', NEEDS_CLUSTER),
  ({ backend, nft }) => {
    let cluster: Cluster;

    beforeAll(async () => {
      const network = { EnableNFTables: nft };
      cluster = await openCluster({ hosts: 2, backend: { Type: backend }, network, flags: ['--ip-masq'] });
      for (const host of cluster.hosts) {
        await host.addContainer();
        await host.namespace.run(['nft', '-f', '-'], { input: await rulesOf(host) });
      }
    });
    afterAll(() => cluster?.[Symbol.asyncDispose]());

    it('a container sees the own address of a container of the other host', async () => {
      for (const [from, to] of cluster.pairs()) {
        expect(await sourceSeen(from.namespace, to.namespace, to.address)).toBe(from.address);
        expect((await ping(from.namespace, to.address)).received).toBe(1);
      }
    });

    it('a container has the address of its host outside of the overlay', async () => {
      for (const [index, { address }] of cluster.hosts.entries()) {
        const { namespace } = cluster.container(index + 1);
        expect(await sourceSeen(namespace, cluster.lab.outside, OUTSIDE_ADDRESS)).toBe(address);
      }
    });

    it("a peer reaches a published port at the bridge's address as itself, a neighbour as the bridge", async () => {
      const host = cluster.lab.host(1);
      const server = cluster.container(1).namespace;
      const bridge = await bridgeOf(host);
      const peer = cluster.container(2);
      expect(await sourceSeen(peer.namespace, server, bridge)).toBe(peer.address);
      const [, neighbour] = host.containers;
      if (neighbour === undefined) throw new Error('there is no neighbour');
      expect(await sourceSeen(neighbour.namespace, server, bridge)).toBe(bridge);
    });
  },
);

async function bridgeOf(host: Host): Promise<string> {
  return (await host.waitForSubnetEnv()).subnet.replace(/\/.*$/, '');
}

// One network, whose first container publishes the port.
async function rulesOf(host: Host): Promise<string> {
  const subnet = (await host.waitForSubnetEnv()).subnet.replace(/\.1\//, '.0/');
  const [first] = host.containers;
  return `table inet netavark {
  chain INPUT {
    type filter hook input priority filter; policy accept;
    ip saddr ${subnet} meta l4proto { tcp, udp } th dport 53 accept
  }
  chain FORWARD {
    type filter hook forward priority filter; policy accept;
    ct state invalid drop
    iifname "docker0" oifname != "docker0" jump NETAVARK-ISOLATION-3
    ip daddr ${subnet} ct state established,related accept
    ip saddr ${subnet} accept
  }
  chain NETAVARK-ISOLATION-3 {
    oifname { "another0", "third0" } drop
  }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x2000 == 0x2000 masquerade
    ip saddr ${subnet} jump network
  }
  chain network {
    ip daddr ${subnet} accept
    ip daddr != 224.0.0.0/4 masquerade
  }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump ports
  }
  chain OUTPUT {
    type nat hook output priority -100; policy accept;
    fib daddr type local jump ports
  }
  chain ports {
    ip saddr ${subnet} udp dport ${PORT} meta mark set meta mark | 0x2000
    ip saddr 127.0.0.1 udp dport ${PORT} meta mark set meta mark | 0x2000
    udp dport ${PORT} dnat ip to ${first?.address}
  }
}
`;
}

// The purpose of the agent: packets between containers of different hosts, for each backend and both firewalls.
import { describe, expect, it } from 'vitest';
import { sourceSeen } from '../lab/datagram.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { transfer } from '../lab/transfer.ts';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { type ClusterOptions, useCluster } from './cluster.ts';

const MEBIBYTE = 1024 * 1024;
/** Headers of an ICMP echo request: IPv4 and ICMP. */
const PING_HEADER_BYTES = 28;

interface Variant extends Pick<ClusterOptions, 'backend' | 'routed'> {
  readonly name: string;
  readonly mtuBytes: number;
  /** Device of the route from host 1 to hosts 2 and 3. */
  readonly devices: readonly [string, string];
}

const BACKENDS: readonly Variant[] = [
  { name: 'host-gw', backend: { Type: 'host-gw' }, mtuBytes: 1500, devices: ['eth0', 'eth0'] },
  { name: 'vxlan', backend: { Type: 'vxlan' }, mtuBytes: 1450, devices: ['flannel.1', 'flannel.1'] },
  { name: 'udp', backend: { Type: 'udp' }, mtuBytes: 1472, devices: ['flannel0', 'flannel0'] },
  {
    name: 'vxlan with DirectRouting',
    backend: { Type: 'vxlan', DirectRouting: true },
    routed: [3],
    mtuBytes: 1450,
    devices: ['eth0', 'flannel.1'],
  },
];

const FIREWALLS = [
  { firewall: 'iptables', nft: false },
  { firewall: 'nftables', nft: true },
] as const;

const VARIANTS = BACKENDS.flatMap((backend) => FIREWALLS.map((firewall) => ({ ...backend, ...firewall })));

describe.skipIf(NEEDS_CLUSTER.missing).each(VARIANTS)(
  title('$name by $firewall', NEEDS_CLUSTER),
  ({ backend, routed, mtuBytes, devices, nft }) => {
    const cluster = useCluster({
      hosts: 3,
      ...(routed === undefined ? {} : { routed }),
      backend,
      network: { EnableNFTables: nft },
      flags: ['--ip-masq'],
      // As Docker does. An accept in a table of nftables' own cannot overrule it, so it is iptables' part.
      prepare: async ({ hosts }) => {
        if (nft) return;
        for (const { namespace } of hosts) await namespace.run(['iptables', '-P', 'FORWARD', 'DROP']);
      },
    });

    it('subnet.env has the subnet, the MTU and the masquerading for Docker', async () => {
      for (const host of cluster().hosts) {
        const env = await host.subnetEnv();
        expect(env).toMatchObject({ network: '10.5.0.0/16', mtuBytes, ipMasq: true });
        expect(env?.subnet).toMatch(/^10\.5\.\d+\.1\/24$/);
      }
    });

    it('the rules are in the firewall in use, and none in the other', async () => {
      for (const { namespace } of cluster().hosts) {
        const iptables = await namespace.run(['iptables-save']);
        const tables = await namespace.run(['nft', 'list', 'tables']);
        expect(iptables.includes('FLANNEL-')).toBe(!nft);
        expect(/table \S+ flannel/.test(tables), tables).toBe(nft);
        // The filter of the tunnel port needs nftables in either mode.
        expect(/table ip twill-tunnel/.test(tables), tables).toBe(backend.Type !== 'host-gw');
      }
    });

    it('the route to each peer goes by the right device', async () => {
      const { lab } = cluster();
      for (const [index, dev] of devices.entries()) {
        const subnet = (await lab.host(index + 2).subnetEnv())?.subnet.replace('.1/', '.0/');
        const routes = await cluster().routes(1);
        const [route = ''] = routes.filter((line) => line.startsWith(`${subnet} `));
        expect(route).toContain(` dev ${dev} `);
      }
    });

    it('all containers answer pings of 56 and of 4,000 bytes', async () => {
      for (const [from, to] of cluster().pairs()) {
        for (const payloadBytes of [56, 4_000]) {
          const { sent, received, text } = await ping(from.namespace, to.address, { count: 3, payloadBytes });
          expect(received, text).toBe(sent);
        }
      }
    });

    it('a packet of the whole MTU arrives in one piece, and a larger one is refused at the container', async () => {
      const payloadBytes = mtuBytes - PING_HEADER_BYTES;
      for (const [from, to] of cluster().pairs()) {
        const fits = await ping(from.namespace, to.address, { payloadBytes, dontFragment: true });
        expect(fits.received, fits.text).toBe(1);
        const tooLarge = await ping(from.namespace, to.address, {
          payloadBytes: payloadBytes + 1,
          dontFragment: true,
        });
        expect(tooLarge.text).toContain('message too long');
      }
    });

    it('64 MB of TCP arrive between all containers without a changed byte', async () => {
      for (const [from, to] of cluster().pairs()) {
        const { sent, received } = await transfer(from, to, 64 * MEBIBYTE);
        expect(sent.bytes).toBe(64 * MEBIBYTE);
        expect(received).toMatchObject({ bytes: sent.bytes, sha256: sent.sha256 });
      }
    });

    it('the source address stays from container to container', async () => {
      for (const [from, to] of cluster().pairs()) {
        expect(await sourceSeen(from.namespace, to.namespace, to.address)).toBe(from.address);
      }
    });

    it('a host reaches the containers of the others', async () => {
      for (const [index, { namespace }] of cluster().hosts.entries()) {
        for (const number of [1, 2, 3].filter((other) => other !== index + 1)) {
          const { received, text } = await ping(namespace, cluster().container(number).address);
          expect(received, text).toBe(1);
        }
      }
    });

    it('a container has the address of its host outside of the overlay', async () => {
      const { hosts, lab } = cluster();
      for (const [index, host] of hosts.entries()) {
        const { namespace } = cluster().container(index + 1);
        expect(await sourceSeen(namespace, lab.outside, OUTSIDE_ADDRESS)).toBe(host.address);
        const { received, text } = await ping(namespace, OUTSIDE_ADDRESS);
        expect(received, text).toBe(1);
      }
    });
  },
);

describe.skipIf(NEEDS_CLUSTER.missing).each(FIREWALLS)(
  title('$firewall without --ip-masq', NEEDS_CLUSTER),
  ({ nft }) => {
    const cluster = useCluster({ hosts: 1, backend: { Type: 'vxlan' }, network: { EnableNFTables: nft } });

    it('a container has its own address outside of the overlay', async () => {
      const { address, namespace } = cluster().container(1);
      expect(await sourceSeen(namespace, cluster().lab.outside, OUTSIDE_ADDRESS)).toBe(address);
    });

    it('subnet.env tells Docker to masquerade', async () => {
      expect(await cluster().lab.host(1).subnetEnv()).toMatchObject({ ipMasq: false });
    });
  },
);

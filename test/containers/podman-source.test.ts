// Containers of Podman on different hosts see each other's own addresses: by whatever firewall netavark and the agent
// work, and over each backend. netavark masquerades everything that leaves its own subnet and cannot be told not to.
import { describe, expect, it } from 'vitest';
import { sourceSeen } from '../lab/datagram.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { OUTSIDE_ADDRESS } from '../lab/lab.ts';
import { ping } from '../lab/ping.ts';
import { title } from '../support/needs.ts';
import { NETAVARKS, needsPodman, PODMAN_4, PODMAN_5, usePodmans } from './podman-bed.ts';

const NEED = needsPodman(PODMAN_4, PODMAN_5);
/** Headers of an ICMP echo request: IPv4 and ICMP. */
const PING_HEADER_BYTES = 28;

const VARIANTS = [
  { backend: 'vxlan', nft: false },
  { backend: 'vxlan', nft: true },
  { backend: 'host-gw', nft: false },
  { backend: 'udp', nft: true },
].map((variant) => ({ ...variant, firewall: variant.nft ? 'nftables' : 'iptables' }));

describe.skipIf(NEED.missing).each(VARIANTS)(title('$backend by $firewall', NEED), ({ backend, nft }) => {
  const bed = usePodmans(NETAVARKS, { backend: { Type: backend }, network: { EnableNFTables: nft } });

  it('a container sees the own address of a container of another host', async () => {
    for (const [from, to] of bed().pairs) {
      expect(await sourceSeenBy(to.address, from.namespace), `${from.name} to ${to.name}`).toBe(from.address);
      expect(await sourceSeen(from.namespace, to.namespace, to.address)).toBe(from.address);
    }
  });

  it('a container has the address of its host outside of the overlay', async () => {
    for (const { host, web } of bed().hosts) {
      expect(await sourceSeen(web.namespace, bed().cluster.lab.outside, OUTSIDE_ADDRESS)).toBe(host.address);
    }
  });

  it('a packet of the whole MTU arrives in one piece', async () => {
    for (const [index, { host }] of bed().hosts.entries()) {
      const payloadBytes = ((await host.subnetEnv())?.mtuBytes ?? 0) - PING_HEADER_BYTES;
      const [from, to] = bed().pairs[index * 2] ?? [];
      if (from === undefined || to === undefined) throw new Error('there is no other host');
      const { received, text } = await ping(from.namespace, to.address, { payloadBytes, dontFragment: true });
      expect(received, text).toBe(1);
    }
  });

  it('the agents are ready, and warn of nothing but of rules that netavark puts before theirs', async () => {
    for (const number of NETAVARKS.keys()) {
      const agent = bed().cluster.agent(number + 1);
      await agent.waitReady();
      const lines = (await agent.log()).split('\n');
      const warnings = lines.filter((line) => /^\S+ (?:warn|error) /.test(line));
      expect(warnings.filter((line) => !line.endsWith('repaired the iptables rules'))).toEqual([]);
      // netavark does so once for each of its chains, and does not insist.
      expect(warnings.length).toBeLessThan(4);
    }
  });
});

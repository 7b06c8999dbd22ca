// Two networks of Podman share a subnet of the overlay. Podman keeps them apart on one host where they ask for it;
// other hosts reach both.
import { beforeAll, describe, expect, it } from 'vitest';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { NETWORK, writeNetworkFile } from '../lab/engines/podman-network.ts';
import type { Host } from '../lab/host.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { NETAVARKS, needsPodman, PODMAN_4, PODMAN_5, usePodmans } from './podman-bed.ts';

const NEED = needsPodman(PODMAN_4, PODMAN_5);
const OTHER = 'other';
const CLOSED_MS = 1_000;

const KINDS = NETAVARKS.map(({ name }, index) => ({ name, index }));

describe.skipIf(NEED.missing)(title('isolated networks of Podman', NEED), () => {
  const bed = usePodmans(NETAVARKS, {}, writeHalves);

  describe.each(KINDS)('by $name', ({ index }) => {
    let web: EngineContainer;
    let other: EngineContainer;
    let peer: EngineContainer;

    beforeAll(async () => {
      const { hosts } = bed();
      const own = hosts[index];
      const following = hosts[(index + 1) % hosts.length];
      if (own === undefined || following === undefined) throw new Error('there is no such host');
      web = own.web;
      other = await own.podman.run('other', '--network', OTHER);
      peer = following.web;
    });

    it('a container does not reach one of the other network on its host', async () => {
      // The agent learns of a bridge when it is there.
      await waitFor('the networks are closed to each other', CLOSED_MS, async () => {
        const answers = await Promise.allSettled([
          sourceSeenBy(other.address, web.namespace),
          sourceSeenBy(web.address, other.namespace),
        ]);
        return answers.every(({ status }) => status === 'rejected');
      });
    });

    it("a peer's container reaches both, and both reach it", async () => {
      for (const { address, namespace } of [web, other]) {
        expect(await sourceSeenBy(address, peer.namespace)).toBe(peer.address);
        expect(await sourceSeenBy(peer.address, namespace)).toBe(address);
      }
    });
  });
});

async function writeHalves(host: Host): Promise<void> {
  const { subnet } = await host.waitForSubnetEnv();
  const start = subnet.replace(/\.1\/24$/, '');
  const halves = [
    { name: NETWORK, subnet: `${start}.0/25`, gateway: `${start}.1` },
    { name: OTHER, subnet: `${start}.128/25`, gateway: `${start}.129` },
  ];
  for (const { name, ...half } of halves)
    await writeNetworkFile(host, { name, subnets: [half], options: { isolate: 'true' } });
}

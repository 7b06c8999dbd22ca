// A network of Podman on a subnet of the overlay: its published ports, its pods, its names, and its rules when they are
// made anew. There is a host for each of netavark's firewalls.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { NETWORK } from '../lab/engines/podman-network.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { title } from '../support/needs.ts';
import { NETAVARKS, needsPodman, PODMAN_4, PODMAN_5, type PodmanHost, usePodmans } from './podman-bed.ts';

const NEED = needsPodman(PODMAN_4, PODMAN_5);
const PORT = 8080;
const FLOW_MS = 1_000;

const KINDS = NETAVARKS.map(({ name }, index) => ({ name, index }));

describe.skipIf(NEED.missing)(title('a network of Podman', NEED), () => {
  const bed = usePodmans(NETAVARKS);

  describe.each(KINDS)('by $name', ({ index }) => {
    let own: PodmanHost;
    let peer: PodmanHost;
    /** The address of the bridge. */
    let bridge: string;
    let streams = 0;

    beforeAll(async () => {
      const { hosts } = bed();
      own = hosts[index] as PodmanHost;
      peer = hosts[(index + 1) % hosts.length] as PodmanHost;
      bridge = (await own.host.waitForSubnetEnv()).subnet.replace(/\/.*$/, '');
    });

    const openStream = (): PingStream => {
      streams += 1;
      return new PingStream(
        peer.web,
        own.web,
        join(bed().cluster.lab.folder, `ping-${own.host.name}-${streams}`),
      );
    };

    it('its names are those of its containers on this host', async () => {
      const { podman, web } = own;
      const other = await podman.run(`named${index}`);
      expect(await web.exec(['nslookup', other.name])).toContain(`Address: ${other.address}\n`);
      await expect(web.exec(['nslookup', peer.web.name])).rejects.toThrow(/can't find|NXDOMAIN|no servers/);
    });

    describe('a published port', () => {
      let published: EngineContainer;

      beforeAll(async () => {
        published = await own.podman.run(`published${index}`, '--publish', `${PORT}:80`);
      });

      it("a peer's container reaches it at the host's address, as its own host", async () => {
        expect(await sourceSeenBy(own.host.address, peer.web.namespace, PORT)).toBe(peer.host.address);
      });

      it("a peer's container reaches it at the bridge's address, as itself", async () => {
        expect(await sourceSeenBy(bridge, peer.web.namespace, PORT)).toBe(peer.web.address);
      });

      it("a peer's container reaches the container without it, as itself", async () => {
        expect(await sourceSeenBy(published.address, peer.web.namespace)).toBe(peer.web.address);
      });

      it('a container of the same host reaches it at both addresses, as the bridge', async () => {
        expect(await sourceSeenBy(own.host.address, own.web.namespace, PORT)).toBe(bridge);
        expect(await sourceSeenBy(bridge, own.web.namespace, PORT)).toBe(bridge);
      });

      it('the host reaches it at its own address, as itself', async () => {
        expect(await sourceSeenBy(own.host.address, own.host.namespace, PORT)).toBe(own.host.address);
      });
    });

    it('the containers of a pod have one address, which a peer sees and reaches', async () => {
      const { podman } = own;
      const pod = `pod${index}`;
      await podman.cli('pod', 'create', '--name', pod, '--network', NETWORK);
      const server = await podman.run(`${pod}-server`, '--pod', pod);
      const other = await podman.runWith(`${pod}-other`, ['sleep', '1000'], '--pod', pod);
      expect(other.address).toBe(server.address);
      expect(await sourceSeenBy(server.address, peer.web.namespace)).toBe(peer.web.address);
      expect(await sourceSeenBy(peer.web.address, other.namespace)).toBe(other.address);
    });

    // Podman makes the links anew, so a few packets are lost.
    it('podman network reload leaves packets flowing, and the source as it is', async () => {
      await using stream = openStream();
      await stream.flows();
      await own.podman.cli('network', 'reload', '--all');
      await stream.flows(FLOW_MS);
      expect(await sourceSeenBy(peer.web.address, own.web.namespace)).toBe(own.web.address);
    });

    it('after a flush of all rules packets flow within a second, and a reload publishes ports again', async () => {
      await using stream = openStream();
      await stream.flows();
      await own.host.namespace.run(['nft', 'flush', 'ruleset']);
      await stream.flows(FLOW_MS);
      await own.podman.cli('network', 'reload', '--all');
      await stream.flows(FLOW_MS);
      expect(await sourceSeenBy(bridge, peer.web.namespace, PORT)).toBe(peer.web.address);
      expect(await sourceSeenBy(peer.web.address, own.web.namespace)).toBe(own.web.address);
    });
  });
});

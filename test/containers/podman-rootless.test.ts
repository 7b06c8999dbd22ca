// Podman without root beside the overlay. Its containers have no link on it: a program of the user opens their
// connections from the host, and listens on the host for their published ports.
import { beforeAll, describe, expect, it } from 'vitest';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { ping } from '../lab/ping.ts';
import { title } from '../support/needs.ts';
import { needsPodman, PODMAN_4, PODMAN_5, type PodmanHost, usePodmans } from './podman-bed.ts';

const NEED = needsPodman(PODMAN_4, PODMAN_5);
const PORT = 8080;
/** The address of each container of slirp4netns, which also stands for whoever asks it. */
const SLIRP_ADDRESS = '10.0.2.100';

const KINDS = [
  { name: 'slirp4netns', index: 0, keepsSource: false },
  { name: 'pasta', index: 1, keepsSource: true },
] as const;

describe.skipIf(NEED.missing)(title('Podman without root', NEED), () => {
  const bed = usePodmans([
    { name: 'slirp4netns', release: PODMAN_4 },
    { name: 'pasta', release: PODMAN_5 },
  ]);

  describe.each(KINDS)('by $name', ({ index, keepsSource }) => {
    let own: PodmanHost;
    let peer: PodmanHost;
    let rootless: EngineContainer;
    /** The addresses of the bridge and of the host's end of the overlay. */
    let bridge: string;
    let overlayEnd: string;

    beforeAll(async () => {
      const { hosts } = bed();
      own = hosts[index] as PodmanHost;
      peer = hosts[1 - index] as PodmanHost;
      const { subnet } = await own.host.waitForSubnetEnv();
      bridge = subnet.replace(/\/.*/, '');
      overlayEnd = bridge.replace(/\.1$/, '.0');
      const user = await own.podman.rootless();
      rootless = await user.run('rootless', '--publish', `${PORT}:80`);
    });

    it("reaches a peer's container, which sees the host's end of the overlay", async () => {
      expect(await sourceSeenBy(peer.web.address, rootless.namespace)).toBe(overlayEnd);
    });

    it("pings a peer's container where the host lets its group", async () => {
      const setting = 'net.ipv4.ping_group_range';
      await own.host.namespace.run(['sysctl', '-qw', `${setting}=1 0`]);
      expect((await ping(rootless.namespace, peer.web.address)).received).toBe(0);
      await own.host.namespace.run(['sysctl', '-qw', `${setting}=0 2000`]);
      expect((await ping(rootless.namespace, peer.web.address)).received).toBe(1);
    });

    it("answers a peer's container at each address of its host", async () => {
      const seen = async (address: string) => sourceSeenBy(address, peer.web.namespace, PORT);
      expect(await seen(own.host.address)).toBe(keepsSource ? peer.host.address : SLIRP_ADDRESS);
      expect(await seen(bridge)).toBe(keepsSource ? peer.web.address : SLIRP_ADDRESS);
      expect(await seen(overlayEnd)).toBe(keepsSource ? peer.web.address : SLIRP_ADDRESS);
    });

    it('answers a container of its own host', async () => {
      const seen = await sourceSeenBy(own.host.address, own.web.namespace, PORT);
      expect(seen).toBe(keepsSource ? own.web.address : SLIRP_ADDRESS);
    });
  });
});

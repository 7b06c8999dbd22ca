// systemd-networkd and NetworkManager configure the link between the hosts. With our files they leave the objects of
// the agent alone; without them the agent repairs its objects within a second.
import { rm } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { OVERLAY } from '../lab/lab.ts';
import { readDeployed } from '../lab/systemd/install-twill.ts';
import type { System } from '../lab/systemd/system.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { UNIT, useHosts } from './bed.ts';
import {
  complaintsOf,
  HEAL_PACKETS,
  lostDuring,
  MANAGED,
  NEEDS_MANAGED,
  openPings,
  ROWS,
  readOwn,
  repairsOf,
  waitForOwn,
} from './beside-managers.ts';

const NETWORKD = 'systemd-networkd.service';
const NETWORKD_FILES = {
  'networkd/networkd.conf': '/usr/lib/systemd/networkd.conf.d/10-twill.conf',
  'networkd/10-twill.network': '/usr/lib/systemd/network/10-twill.network',
};
/** The operator's settings for all other links. */
const OTHER_LINKS = '[Match]\nName=!lo docker0 c1 c2\n[Network]\nLinkLocalAddressing=no\n';
const NETWORK_MANAGER = 'NetworkManager.service';
const NETWORK_MANAGER_FILE = '/usr/lib/NetworkManager/conf.d/30-twill.conf';
const VETHS_FILE = '/etc/NetworkManager/conf.d/90-veths.conf';
const GATEWAY = '192.168.77.254';

describe.skipIf(NEEDS_MANAGED.missing)(title('a manager of the network', NEEDS_MANAGED), () => {
  const bed = useHosts(MANAGED);

  describe.each([{ type: 'vxlan' }, { type: 'host-gw' }])('with $type', ({ type }) => {
    beforeAll(async () => {
      await bed().etcd.setNetwork({ Network: OVERLAY, Backend: { Type: type } });
      for (const system of bed().systems) await system.start(UNIT, 'restart');
    });

    describe.each(ROWS)('systemd-networkd on %s', (release, host) => {
      const system = () => bed().system(host);

      beforeAll(async () => {
        const { address } = system().host;
        const lines = `Address=${address}/24\nGateway=${GATEWAY}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n`;
        await system().write(
          '/etc/systemd/network/20-eth0.network',
          `[Match]\nName=eth0\n[Network]\n${lines}`,
        );
        await system().write('/etc/systemd/network/90-others.network', OTHER_LINKS);
        await system().run('systemctl', 'stop', NETWORK_MANAGER);
        // Networkd cannot take over an address that somebody has set with other attributes.
        await system().run('ip', 'address', 'flush', 'dev', 'eth0');
        await restartNetworkd(system());
      });

      it('a restart and a reload lose no packet, and leave our objects alone', async () => {
        await using stream = await openPings(bed());
        const own = await readOwn(system());
        const repairs = await repairsOf(system());
        const lost = await lostDuring(stream, async () => {
          await restartNetworkd(system());
          await system().run('networkctl', 'reload');
          await waitConfigured(system());
        });
        expect(lost).toBe(0);
        expect(await readOwn(system())).toBe(own);
        expect(await repairsOf(system())).toBe(repairs);
      });

      if (type === 'vxlan')
        it("udev takes our file for the agent's device, and leaves its MAC as it is", async () => {
          const own = await readOwn(system());
          const argv = ['udevadm', 'test-builtin', 'net_setup_link', '/sys/class/net/flannel.1'];
          const { stdout } = await system().exec(argv);
          expect(stdout).toContain('ID_NET_LINK_FILE=/usr/lib/systemd/network/10-twill.link');
          expect(await readOwn(system())).toBe(own);
        });

      it('our objects are whole within a second after the link was configured anew', async () => {
        await using stream = await openPings(bed());
        const own = await readOwn(system());
        const complaints = await complaintsOf(system());
        const lost = await lostDuring(stream, () => reconfigure(system()));
        process.stdout.write(`${type}, ${release}: networkctl reconfigure: ${lost} packets lost\n`);
        expect(lost).toBeLessThanOrEqual(HEAL_PACKETS);
        await waitForOwn(system(), own);
        // The link has no address for some milliseconds, which is no fault of a peer.
        expect(await complaintsOf(system())).toBe(complaints);
      });

      it('our objects are whole within a second where our files are missing', async () => {
        for (const path of Object.values(NETWORKD_FILES)) await rm(system().path(path));
        await using stream = await openPings(bed());
        const own = await readOwn(system());
        const repairs = await repairsOf(system());
        const lost = await lostDuring(stream, async () => {
          await restartNetworkd(system());
          await waitForOwn(system(), own);
          await reconfigure(system());
        });
        process.stdout.write(`${type}, ${release}: without our files: ${lost} packets lost\n`);
        expect(lost).toBeLessThanOrEqual(HEAL_PACKETS);
        await waitForOwn(system(), own);
        // At a restart systemd 257 takes our address off flannel.1, and deletes our route on the other link.
        if (release.includes('257')) expect(await repairsOf(system())).toBeGreaterThan(repairs);
        for (const [name, path] of Object.entries(NETWORKD_FILES))
          await system().write(path, await readDeployed(name));
        await restartNetworkd(system());
      });
    });

    describe.each(ROWS)('NetworkManager on %s', (release, host) => {
      const system = () => bed().system(host);
      const nmcli = (...words: readonly string[]): Promise<string> => system().run('nmcli', ...words);
      const stateOf = async (link: string): Promise<string> =>
        new RegExp(`^${link}:(.*)$`, 'm').exec(await nmcli('-g', 'DEVICE,STATE', 'device'))?.[1] ?? '';
      const restartManager = async (): Promise<void> => {
        await system().start(NETWORK_MANAGER, 'restart');
        await waitFor('NetworkManager answers', 10_000, async () => {
          const { stdout } = await system().exec(['nmcli', '-g', 'STARTUP', 'general']);
          return stdout.trim() === 'started';
        });
      };
      const networkingOffAndOn = async (): Promise<void> => {
        await nmcli('networking', 'off');
        await nmcli('networking', 'on');
        await waitFor('eth0 is connected', 10_000, async () => (await stateOf('eth0')) === 'connected');
      };

      beforeAll(async () => {
        const { address } = system().host;
        const ipv4 = `[ipv4]\nmethod=manual\naddress1=${address}/24,${GATEWAY}\n[ipv6]\nmethod=disabled\n`;
        await system().write(
          '/etc/NetworkManager/system-connections/underlay.nmconnection',
          `[connection]\nid=underlay\ntype=ethernet\ninterface-name=eth0\n${ipv4}`,
          0o600,
        );
        // A rule of udev keeps NetworkManager off the veths of containers. There is no udev in the lab.
        await system().write(VETHS_FILE, unmanaged('c*'));
        await system().run('systemctl', 'stop', 'systemd-networkd.socket', NETWORKD);
        await restartManager();
        await nmcli('connection', 'up', 'underlay');
      });

      it('a restart and a reload lose no packet, and leave our objects alone', async () => {
        if (type === 'vxlan') expect(await stateOf('flannel\\.1')).toBe('unmanaged');
        expect(await stateOf('docker0')).toBe('unmanaged');
        await using stream = await openPings(bed());
        const own = await readOwn(system());
        const repairs = await repairsOf(system());
        const lost = await lostDuring(stream, async () => {
          await restartManager();
          await nmcli('connection', 'reload');
          await nmcli('general', 'reload');
        });
        expect(lost).toBe(0);
        expect(await readOwn(system())).toBe(own);
        expect(await repairsOf(system())).toBe(repairs);
      });

      it('packets flow within a second after the network was switched off and on', async () => {
        await using stream = await openPings(bed());
        const own = await readOwn(system());
        const repairs = await repairsOf(system());
        await lostDuring(stream, networkingOffAndOn);
        await waitForOwn(system(), own);
        if (type === 'vxlan') expect(await repairsOf(system())).toBe(repairs);
        const lost = await lostDuring(stream, () => nmcli('connection', 'up', 'underlay'));
        process.stdout.write(`${type}, ${release}: nmcli connection up: ${lost} packets lost\n`);
        expect(lost).toBeLessThanOrEqual(HEAL_PACKETS);
        await waitForOwn(system(), own);
      });

      if (type === 'host-gw') return;
      it('our objects are whole within a second where our file is missing', async () => {
        await rm(system().path(NETWORK_MANAGER_FILE));
        await system().write(VETHS_FILE, unmanaged('c*', 'docker0'));
        await restartManager();
        expect(await stateOf('flannel\\.1')).toMatch(/^connected/);
        await using stream = await openPings(bed());
        const own = await readOwn(system());
        const repairs = await repairsOf(system());
        await lostDuring(stream, networkingOffAndOn);
        await waitForOwn(system(), own);
        // NetworkManager has taken the address off the device.
        expect(await repairsOf(system())).toBeGreaterThan(repairs);
        await system().write(NETWORK_MANAGER_FILE, await readDeployed('NetworkManager/30-twill.conf'));
      });
    });
  });
});

/** Settings of NetworkManager that keep it off links. */
function unmanaged(...names: readonly string[]): string {
  const match = names.map((name) => `interface-name:${name}`).join(';');
  return `[device-test]\nmatch-device=${match}\nmanaged=0\n`;
}

async function restartNetworkd(system: System): Promise<void> {
  await system.start(NETWORKD, 'restart');
  await waitConfigured(system);
}

async function reconfigure(system: System): Promise<void> {
  await system.run('networkctl', 'reconfigure', 'eth0');
  await waitConfigured(system);
}

/** Waits until networkd has configured the link between the hosts. */
async function waitConfigured(system: System): Promise<void> {
  await waitFor('eth0 is configured', 15_000, async () =>
    (await system.run('networkctl', 'status', '--no-pager', 'eth0')).includes('(configured)'),
  );
}

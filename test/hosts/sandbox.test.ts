// The sandbox of the unit leaves the agent everything that its work needs: each backend, each firewall, another user.
import { describe, expect, it } from 'vitest';
import { ping } from '../lab/ping.ts';
import { configureTwill, readDeployed } from '../lab/systemd/install-twill.ts';
import type { System } from '../lab/systemd/system.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { exposureOf, NEEDS_HOSTS, subnetOf, UNIT, useHosts } from './bed.ts';

const CONFIGURATIONS = {
  vxlan: { Network: '10.6.0.0/16', Backend: { Type: 'vxlan', VNI: 6, Port: 8476 } },
  'vxlan-nft': {
    Network: '10.7.0.0/16',
    EnableNFTables: true,
    Backend: { Type: 'vxlan', VNI: 7, Port: 8477 },
  },
  'host-gw': { Network: '10.8.0.0/16', Backend: { Type: 'host-gw' } },
  udp: { Network: '10.9.0.0/16', Backend: { Type: 'udp' } },
} as const;
/** The exposure that `systemd-analyze security` may find with another user, of 10. */
const MOST_EXPOSURE_OF_USER = 1.9;
/** No warning, but for the one about the setting that the sandbox lets the agent change. */
const QUIET = /^(?!.* (?:warn|error) (?!.*set net\.ipv4\.ip_forward to 1))/;

describe.skipIf(NEEDS_HOSTS.missing)(title('the sandbox of the unit', NEEDS_HOSTS), () => {
  const bed = useHosts();

  /** Runs all agents on a network of their own, and checks that they reach each other. */
  async function runAll(
    name: keyof typeof CONFIGURATIONS,
    more: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const { etcd, systems, settings } = bed();
    await etcd.etcdctl('put', `/${name}/config`, JSON.stringify(CONFIGURATIONS[name]));
    for (const system of systems) {
      await configureTwill(system, {
        ...settings,
        FLANNELD_ETCD_PREFIX: `/${name}`,
        FLANNELD_IP_MASQ: 'true',
        ...more,
      });
      await system.run('sysctl', '-qw', 'net.ipv4.ip_forward=0');
      await system.start(UNIT, 'restart');
    }
    const [one, two] = systems;
    if (one === undefined || two === undefined) throw new Error('there are no two hosts');
    // With host-gw a subnet has no address before it has a container.
    const address = `${await subnetOf(two)}.${name === 'host-gw' ? 1 : 0}`;
    if (name === 'host-gw') await two.run('ip', 'address', 'replace', `${address}/24`, 'dev', 'docker0');
    await waitFor(
      `${address} answers`,
      5_000,
      async () => (await ping(one.host.namespace, address)).received > 0,
    );
    for (const system of systems) {
      expect(await lastRun(system)).toMatch(/ready: /);
      // With host-gw nothing is forwarded before there is a peer.
      await waitFor(
        'the host forwards',
        15_000,
        async () => (await system.run('sysctl', '-n', 'net.ipv4.ip_forward')) === '1',
      );
    }
  }

  /** The log of the agent that runs, which has no warning. */
  async function lastRun(system: System): Promise<string> {
    const invocation = await system.show(UNIT, 'InvocationID');
    const text = await system.run('journalctl', '--output=cat', `_SYSTEMD_INVOCATION_ID=${invocation}`);
    for (const line of text.split('\n')) expect(line).toMatch(QUIET);
    return text;
  }

  it.each(Object.keys(CONFIGURATIONS) as (keyof typeof CONFIGURATIONS)[])(
    'the agent carries %s as root with two capabilities',
    (name) => runAll(name),
  );

  it('without CAP_NET_ADMIN the agent does not start', async () => {
    for (const system of bed().systems) {
      await using _edit = await system.edit(UNIT, capabilities('CAP_NET_RAW'));
      const { exitCode } = await system.exec(['systemctl', 'restart', UNIT]);
      expect(exitCode).not.toBe(0);
      expect(await system.journal(UNIT)).toContain('no permission (CAP_NET_ADMIN is missing)');
      await system.run('systemctl', 'stop', UNIT);
    }
  });

  it('the old iptables works by the unit, and not without CAP_NET_RAW', async () => {
    for (const system of bed().systems) await chooseIptables(system, 'legacy');
    await runAll('vxlan');
    for (const system of bed().systems) {
      expect(await system.run('iptables-legacy-save')).toContain('FLANNEL-FWD');
      await using _edit = await system.edit(UNIT, capabilities('CAP_NET_ADMIN'));
      await system.run('systemctl', 'restart', '--no-block', UNIT);
      await waitFor('iptables is refused', 10_000, async () =>
        /iptables.*(?:not permitted|must be root)/i.test(await system.journal(UNIT)),
      );
      await system.run('systemctl', 'stop', UNIT);
    }
    for (const system of bed().systems) {
      await chooseIptables(system, 'nft');
      await system.run('twill', 'cleanup');
    }
  });

  it('a password that only root may read is given as a credential', async () => {
    const { etcd, systems, settings } = bed();
    await etcd.etcdctl('user', 'add', 'root:hunter2', '--interactive=false');
    await etcd.etcdctl('user', 'grant-role', 'root', 'root');
    await etcd.etcdctl('auth', 'enable');
    for (const system of systems) {
      await configureTwill(system, { ...settings, FLANNELD_ETCD_USERNAME: 'root' });
      await system.write('/etc/twill/password', 'hunter2\n', 0o600);
      // Not even root of the unit may read it.
      await system.run('chown', 'nobody', '/etc/twill/password');
      await using _edit = await system.edit(
        UNIT,
        '[Service]\nLoadCredential=password:/etc/twill/password\nEnvironment=FLANNELD_ETCD_PASSWORD_FILE=%d/password\n',
      );
      await system.start(UNIT, 'restart');
      expect(await system.show(UNIT, 'ActiveState')).toBe('active');
      const pid = await system.show(UNIT, 'MainPID');
      expect(await system.run('cat', `/proc/${pid}/environ`, `/proc/${pid}/cmdline`)).not.toContain(
        'hunter2',
      );
    }
    await etcd.etcdctl('--user=root:hunter2', 'auth', 'disable');
  });

  it.each(['vxlan-nft', 'vxlan', 'udp'] as const)(
    'the agent carries %s as a user of its own',
    async (name) => {
      const { systems } = bed();
      for (const system of systems) {
        await system.run('systemctl', 'stop', UNIT);
        await system.run('systemd-sysusers', '/usr/lib/sysusers.d/twill.conf');
        await system.edit(UNIT, await readDeployed('systemd/non-root.conf'));
      }
      await runAll(name);
      for (const system of systems) {
        const pid = await system.show(UNIT, 'MainPID');
        expect(await system.run('ps', '-o', 'user=', '-p', pid)).toBe('twill');
        const { exposure, report } = await exposureOf(system);
        expect(exposure, report).toBeLessThanOrEqual(MOST_EXPOSURE_OF_USER);
      }
    },
  );
});

/** The bounding set with this capability alone. */
function capabilities(name: string): string {
  return `[Service]\nCapabilityBoundingSet=\nCapabilityBoundingSet=${name}\n`;
}

async function chooseIptables(system: System, variant: 'nft' | 'legacy'): Promise<void> {
  for (const name of ['iptables', 'iptables-save', 'iptables-restore'])
    await system.run('ln', '-sf', `xtables-${variant}-multi`, `/usr/sbin/${name}`);
}

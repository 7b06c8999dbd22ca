// The packages of `npm run package` on hosts without npm: installed, started, upgraded under traffic and removed.
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import { type LabEtcd, startLabEtcd } from '../lab/datastore.ts';
import { type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { PingStream } from '../lab/ping-stream.ts';
import type { DebianHost } from '../lab/systemd/debian-hosts.ts';
import { System } from '../lab/systemd/system.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf, UNIT } from './bed.ts';
import {
  BUILD_MS,
  buildPackages,
  DEB,
  filesOf,
  INSTALL_SH,
  PACKAGES,
  RPM,
  SETTINGS,
  TARBALL,
  VERSION,
} from './packages.ts';

const NEED = allOf(NEEDS_HOSTS, needsProgram('npm'), needsProgram('go'));

interface Form {
  readonly name: string;
  readonly host: DebianHost | undefined;
  readonly install: string;
  readonly upgrade: string;
  readonly remove: string;
}

const [DEBIAN_12, DEBIAN_13] = HOSTS;
const FORMS: readonly Form[] = [
  {
    name: 'the .deb on Debian 13',
    host: DEBIAN_13,
    install: `dpkg --install ${PACKAGES}/${DEB}`,
    upgrade: `dpkg --install ${PACKAGES}/${DEB}`,
    remove: 'dpkg --purge twill',
  },
  {
    name: 'the .rpm',
    host: DEBIAN_13,
    // Here no rpm has brought Node.js.
    install: `rpm --nodeps --install ${PACKAGES}/${RPM}`,
    upgrade: `rpm --nodeps --upgrade --replacepkgs ${PACKAGES}/${RPM}`,
    remove: 'rpm --erase twill; rm -rf /etc/twill',
  },
  {
    name: 'the tarball on Debian 12, which has a newer Node.js',
    host: DEBIAN_12,
    install: INSTALL_SH,
    upgrade: INSTALL_SH,
    remove: '/usr/lib/twill/uninstall.sh --purge',
  },
];

async function timed(work: () => Promise<unknown>): Promise<number> {
  const fromMs = systemClock.monotonicMs();
  await work();
  return Math.round(systemClock.monotonicMs() - fromMs);
}

describe.skipIf(NEED.missing)(title('the packages', NEED), () => {
  let folder: string;
  const built = (name: string): string => join(folder, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-packages-'));
    await buildPackages(built('one'));
    await buildPackages(built('two'), '077');
  }, 2 * BUILD_MS);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('two builds of one commit have the same bytes, whatever the umask is', async () => {
    const names = await readdir(built('one'));
    expect(names.sort()).toEqual([
      `twill-${VERSION}-1.aarch64.rpm`,
      RPM,
      TARBALL,
      `twill-${VERSION}-linux-arm64.tar.gz`,
      DEB,
      `twill_${VERSION}-1_arm64.deb`,
    ]);
    for (const name of names) await run(['cmp', join(built('one'), name), join(built('two'), name)]);
  });

  it.each([
    ['amd64', 0x3e],
    ['arm64', 0xb7],
  ])('all machine code for %s is for that processor', async (architecture, machine) => {
    const files = built(architecture);
    await mkdir(files);
    const tarball = join(built('one'), `twill-${VERSION}-linux-${architecture}.tar.gz`);
    await run(['tar', '-C', files, '-xf', tarball]);
    const names = (await readdir(files, { recursive: true })).filter((name) => name.endsWith('.node'));
    expect(names).toHaveLength(2);
    for (const name of names) expect((await readFile(join(files, name))).readUInt16LE(18)).toBe(machine);
  });

  describe('on hosts with systemd', () => {
    let lab: Lab;
    let etcd: LabEtcd;
    let systems: readonly System[];
    const systemOf = ({ host }: Form): System => {
      const system = host && systems[HOSTS.indexOf(host)];
      if (system === undefined) throw new Error('there is no such host');
      return system;
    };
    const sh = (system: System, script: string): Promise<string> => system.run('sh', '-ec', script);

    beforeAll(async () => {
      // The third host has an agent of the checkout: the peer of all others.
      lab = await openLab({ hosts: HOSTS.length + 1 });
      etcd = await startLabEtcd(lab);
      await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
      lab.host(3).startAgent([...etcd.flags, '--iface=eth0']);
      systems = await Promise.all(HOSTS.map((host, place) => System.boot(lab.host(place + 1), host.folder)));
      for (const system of systems) {
        await cp(built('one'), system.path(PACKAGES), { recursive: true });
        // The lab's own program.
        await sh(system, 'rm /usr/bin/twill');
      }
      // The Node.js of Debian 13 itself, below the one of this machine.
      await systems[1]?.run('umount', '/usr/bin/node');
    });
    afterAll(() => lab?.close());

    const refusal = async (system: System, script: string): Promise<string> => {
      const { exitCode, stderr } = await system.exec(['sh', '-ec', script]);
      expect(exitCode).toBeGreaterThan(0);
      return stderr;
    };
    const configure = async (system: System, ...more: readonly string[]): Promise<void> => {
      const lines = [`FLANNELD_ETCD_ENDPOINTS=${etcd.url}`, 'FLANNELD_IFACE=eth0', ...more];
      await sh(system, `printf '%s\\n' '${lines.join("' '")}' >> ${SETTINGS}`);
    };

    it.each(FORMS)(
      '$name: two commands to a running agent, an upgrade without a loss, nothing left',
      async (form) => {
        const system = systemOf(form);
        const before = await filesOf(system);
        const installMs = await timed(() => sh(system, form.install));
        const { exitCode } = await system.exec(['systemctl', 'is-enabled', UNIT]);
        expect([exitCode, await system.show(UNIT, 'ActiveState')]).toEqual([1, 'inactive']);
        expect(await sh(system, `stat --format=%a ${SETTINGS}; twill --version; twilld --version`)).toBe(
          `640\ntwill ${VERSION}\ntwill ${VERSION}`,
        );
        await configure(system);
        const runMs = await timed(() => system.run('systemctl', 'enable', '--now', UNIT));
        process.stdout.write(`${form.name}: installed in ${installMs} ms, started in ${runMs} ms\n`);
        expect(await system.show(UNIT, 'ActiveState')).toBe('active');
        await sh(
          system,
          '/usr/lib/twill/mk-docker-opts.sh -d /run/docker-opts && grep -q bip=10.5. /run/docker-opts',
        );

        const settings = await sh(system, `cat ${SETTINGS}`);
        const pid = await system.show(UNIT, 'MainPID');
        const peer = { name: 'h3', address: '', namespace: lab.host(3).namespace };
        const target = { ...peer, address: `${await subnetOf(system)}.0` };
        await using pings = new PingStream(peer, target, join(lab.folder, `${form.host?.title}.pings`));
        await pings.flows();
        await sh(system, form.upgrade);
        await system.waitFor(UNIT, 'MainPID', new RegExp(`^(?!${pid}$|0$)`));
        await system.waitFor(UNIT, 'ActiveState', /^active$/);
        await pings.flows();
        expect(await pings.lost()).toBe(0);
        expect(await sh(system, `cat ${SETTINGS}`)).toBe(settings);

        await sh(system, form.remove);
        expect(await filesOf(system)).toBe(before);
        expect(await sh(system, 'ip link show type vxlan; iptables-save; nft list tables')).not.toMatch(
          /flannel/i,
        );
      },
    );

    it.each(FORMS.slice(0, 2))(
      '$name and the tarball refuse each other, and change nothing',
      async (form) => {
        const system = systemOf(form);
        await sh(system, form.install);
        const before = await filesOf(system);
        expect(await refusal(system, INSTALL_SH)).toBe(
          'install.sh: a package has installed Twill here: upgrade that package, or remove it first\n',
        );
        expect(await filesOf(system)).toBe(before);
        await sh(system, `${form.remove}; ${INSTALL_SH}`);
        expect(await refusal(system, form.install)).toContain(
          'twill: install.sh has installed Twill here: run /usr/lib/twill/uninstall.sh first\n',
        );
        await sh(system, '/usr/lib/twill/uninstall.sh --purge');
      },
    );

    it('dpkg names Node.js where the host has none that is new enough', async () => {
      const [system] = systems;
      if (system === undefined) throw new Error('there is no host');
      expect(await refusal(system, `dpkg --install ${PACKAGES}/${DEB}`)).toContain(
        'twill depends on nodejs (>= 20.19)',
      );
      await system.run('dpkg', '--purge', 'twill');
    });

    it('install.sh refuses an older Node.js and another processor, and changes nothing', async () => {
      const [system] = systems;
      if (system === undefined) throw new Error('there is no host');
      await system.run('mkdir', '-p', '/usr/local/bin');
      const before = await filesOf(system);
      const arm = INSTALL_SH.replaceAll('amd64', 'arm64');
      expect(await refusal(system, arm)).toBe('install.sh: is not for the processor of this host, x86_64\n');
      const old = '#!/bin/sh\ntest "$1" = --version && echo v18.20.4\n';
      await system.write('/usr/local/bin/node', old, 0o755);
      expect(await refusal(system, INSTALL_SH)).toBe(
        'install.sh: needs Node.js 20.19 or later; /usr/local/bin/node is v18.20.4\n',
      );
      await system.run('rm', '/usr/local/bin/node');
      expect(await filesOf(system)).toBe(before);
    });

    it('install.sh removes the files of an older version, and uninstall.sh keeps the settings', async () => {
      const [system] = systems;
      if (system === undefined) throw new Error('there is no host');
      await sh(system, INSTALL_SH);
      await sh(system, 'touch /usr/lib/twill/old; echo /usr/lib/twill/old >> /usr/lib/twill/installed');
      await sh(system, `echo FLANNELD_V=1 >> ${SETTINGS}; ${INSTALL_SH}`);
      expect((await system.exec(['test', '-e', '/usr/lib/twill/old'])).exitCode).toBe(1);
      await sh(system, `/usr/lib/twill/uninstall.sh; ${INSTALL_SH}`);
      expect(await sh(system, `tail -n 1 ${SETTINGS}`)).toBe('FLANNELD_V=1');
      await sh(system, '/usr/lib/twill/uninstall.sh --purge');
      expect((await system.exec(['test', '-e', '/etc/twill'])).exitCode).toBe(1);
    });

    it('a package has all that the udp backend needs', async () => {
      const [system] = systems;
      if (system === undefined) throw new Error('there is no host');
      await etcd.etcdctl('put', '/udp/config', '{"Network":"10.6.0.0/16","Backend":{"Type":"udp"}}');
      await sh(system, INSTALL_SH);
      await configure(system, 'FLANNELD_ETCD_PREFIX=/udp');
      await system.start(UNIT);
      expect(await system.show(UNIT, 'StatusText')).toMatch(/, udp, /);
      await sh(system, '/usr/lib/twill/uninstall.sh --purge');
      expect(await system.run('ip', 'route')).not.toContain('flannel');
    });
  });
});

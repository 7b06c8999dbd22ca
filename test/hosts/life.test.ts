// The life of three hosts with Debian's own Docker: Twill comes from a package, fails in each way that systemd answers,
// outlives a reboot, and goes. package.test.ts has the upgrade, and docker.test.ts has Docker's drop-in.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLabEtcd } from '../lab/datastore.ts';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { type Lab, OVERLAY, openLab, ROUTER_ADDRESS } from '../lab/lab.ts';
import { PingStream } from '../lab/ping-stream.ts';
import type { DebianHost } from '../lab/systemd/debian-hosts.ts';
import { DOCKER, SystemDocker } from '../lab/systemd/docker.ts';
import { System } from '../lab/systemd/system.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf, UNIT } from './bed.ts';
import { MAKE } from './docker-units.ts';
import { BUILD_MS, buildPackages, DEB, filesOf, INSTALL_SH, PACKAGES, SETTINGS } from './packages.ts';

const NEED = allOf(NEEDS_HOSTS, needsProgram('npm'), needsProgram('go'));
const PACKETS = 300;

/** Debian 12 once, and Debian 13 twice, each with the commands that bring and remove Twill. */
const [DEBIAN_12, DEBIAN_13] = HOSTS as readonly [DebianHost, DebianHost];
const BY_TARBALL = { install: INSTALL_SH, remove: '/usr/lib/twill/uninstall.sh --purge' };
const BY_DEB = { install: `dpkg --install ${PACKAGES}/${DEB}`, remove: 'dpkg --purge twill' };
const FORMS = [
  { release: DEBIAN_12, ...BY_TARBALL },
  { release: DEBIAN_13, ...BY_DEB },
  { release: DEBIAN_13, ...BY_DEB },
];

/** A host with its Docker. */
interface Member {
  readonly system: System;
  readonly docker: SystemDocker;
  readonly form: (typeof FORMS)[number];
  /** The files of the host before Twill came. */
  readonly files: string;
}

/** Brings a host to where Twill comes: its Docker has run with a network of its own. */
async function prepare(system: System, form: Member['form'], packages: string): Promise<Member> {
  // The lab's own program.
  await system.run('rm', '/usr/bin/twill');
  await cp(packages, system.path(PACKAGES), { recursive: true });
  const docker = new SystemDocker(system);
  await docker.install();
  await system.start(DOCKER);
  await docker.loadImage();
  await system.run('systemctl', 'stop', DOCKER, 'docker.socket');
  return { system, docker, form, files: await filesOf(system) };
}

/** The container that each host has. It starts with Docker. */
function web({ docker }: Member): Promise<EngineContainer> {
  return waitFor('the container runs', 15_000, () => docker.container('web').catch(() => undefined));
}

/** What must not change while the agent is away: the processes of dockerd and of the container. */
async function dockerPids({ system, docker }: Member): Promise<string> {
  return `${await system.show(DOCKER, 'MainPID')} ${await docker.cli('inspect', '-f', '{{.State.Pid}}', 'web')}`;
}

describe.skipIf(NEED.missing)(title('three hosts with Docker', NEED), () => {
  let folder: string;
  let lab: Lab;
  let members: readonly Member[] = [];
  const member = (number: number): Member => members[number - 1] as Member;

  /** Every container asks every other one, which sees its own address. */
  const sourcesAreTrue = async (): Promise<void> => {
    const containers = await Promise.all(members.map(web));
    for (const from of containers) {
      for (const to of containers.filter((other) => other !== from))
        expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
    }
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-life-'));
    await buildPackages(folder);
    lab = await openLab({ hosts: FORMS.length });
    members = await Promise.all(
      FORMS.map(async (form, place) =>
        prepare(await System.boot(lab.host(place + 1), form.release.folder), form, folder),
      ),
    );
  }, 2 * BUILD_MS);
  afterAll(async () => {
    await lab?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('Docker starts by itself, with the leased subnet, when the datastore comes', async () => {
    const lines = `FLANNELD_ETCD_ENDPOINTS=http://${ROUTER_ADDRESS}:2379\nFLANNELD_IFACE=eth0\n`;
    const install = async ({ system, form }: Member): Promise<void> => {
      await system.run('sh', '-ec', form.install);
      await system.run('sh', '-ec', `printf '${lines.replaceAll('\n', '\\n')}' >> ${SETTINGS}`);
      await system.run(MAKE);
      await system.run('systemctl', '--quiet', 'enable', UNIT);
      await system.run('systemctl', '--quiet', 'enable', '--now', 'twill-docker.path');
      await system.run('systemctl', 'start', '--no-block', DOCKER);
      await system.waitFor(UNIT, 'ActiveState', /^activating$/);
      expect(await system.show(DOCKER, 'ActiveState')).toBe('inactive');
    };
    await Promise.all(members.map(install));
    const etcd = await startLabEtcd(lab);
    await etcd.setNetwork({ Network: OVERLAY, Backend: { Type: 'vxlan' } });
    for (const { system, docker } of members) {
      await system.waitFor(DOCKER, 'ActiveState', /^active$/);
      const { address } = await docker.run('web', '--restart=always');
      expect(address).toBe(`${await subnetOf(system)}.2`);
    }
  });

  it('containers reach each other, and see true sources', () => sourcesAreTrue());

  it('an agent that is killed comes back, no packet is lost, and Docker does not notice', async () => {
    const { system } = member(1);
    const before = await Promise.all(members.map(dockerPids));
    const [one, two] = await Promise.all([web(member(1)), web(member(2))]);
    await using pings = new PingStream(one, two, join(lab.folder, 'killed.pings'));
    await pings.flows();
    await system.run('systemctl', 'kill', '--signal=KILL', UNIT);
    await system.waitFor(UNIT, 'NRestarts', /^1$/);
    await system.waitFor(UNIT, 'ActiveState', /^active$/);
    await pings.counts(PACKETS);
    await pings.flows();
    expect(await pings.lost()).toBe(0);
    expect(await Promise.all(members.map(dockerPids))).toEqual(before);
  });

  it('an agent that stands still is restarted by the watchdog, and no packet is lost', async () => {
    const { system } = member(2);
    await using _edit = await system.edit(UNIT, '[Service]\nWatchdogSec=2\n');
    await system.start(UNIT, 'restart');
    const before = await Promise.all(members.map(dockerPids));
    const [two, three] = await Promise.all([web(member(2)), web(member(3))]);
    await using pings = new PingStream(three, two, join(lab.folder, 'still.pings'));
    await pings.flows();
    await system.run('kill', '-STOP', await system.show(UNIT, 'MainPID'));
    await system.waitFor(UNIT, 'NRestarts', /^1$/);
    await system.waitFor(UNIT, 'ActiveState', /^active$/);
    await pings.flows();
    expect(await pings.lost()).toBe(0);
    expect(await Promise.all(members.map(dockerPids))).toEqual(before);
  });

  it('a host that reboots has its subnet, and its container the address, by itself', async () => {
    const { system } = member(3);
    const subnet = await subnetOf(system);
    const { address } = await web(member(3));
    await system.reboot();
    await system.waitFor(DOCKER, 'ActiveState', /^active$/);
    expect(await subnetOf(system)).toBe(subnet);
    expect((await web(member(3))).address).toBe(address);
    await sourcesAreTrue();
  });

  it('a removal leaves nothing, and Docker runs on with its containers', async () => {
    const remove = async (each: Member): Promise<void> => {
      const { system, form, files } = each;
      const before = await dockerPids(each);
      await system.run('sh', '-ec', form.remove);
      expect(await filesOf(system)).toBe(files);
      expect(await system.run('find', '/var', '/run', '-iname', '*twill*')).toBe('');
      const left = 'ip link; ip route; ip rule; iptables-save; ip6tables-save; nft list tables';
      expect(await system.run('sh', '-ec', left)).not.toMatch(/flannel|twill|proto (?:84|ovn)/i);
      expect(await dockerPids(each)).toBe(before);
      // Docker remembers the subnet of its bridge, until it is given another one.
      await system.write('/etc/docker/daemon.json', '{"bip": "172.26.0.1/16"}');
      await system.start(DOCKER, 'restart');
      expect((await web(each)).address).toBe('172.26.0.2');
    };
    await Promise.all(members.map(remove));
  });
});

// README's chapters about installing, upgrading and removing: all of their commands run as they stand there, on hosts
// with systemd and Docker that have neither npm nor a compiler.
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import type { EngineContainer } from '../lab/engines/engine.ts';
import { sourceSeenBy } from '../lab/engines/engine.ts';
import { type EtcdServer, startEtcd } from '../lab/etcd.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { readChapter, type Section, type Step, sectionsIn } from '../lab/page.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { DOCKER, SystemDocker } from '../lab/systemd/docker.ts';
import { System } from '../lab/systemd/system.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { exposureOf, HOSTS, NEEDS_HOSTS, UNIT } from './bed.ts';

const NEED = allOf(NEEDS_HOSTS, ...['npm', 'go', 'git', 'dpkg-deb'].map(needsProgram));
const INSTALL = sectionsIn(await readChapter('Install'));
const UPGRADE = sectionsIn(await readChapter('Upgrade and remove'));
/** Sections whose commands another test runs. */
const ELSEWHERE = ['The container image'];
const CHECKOUT_MS = 85_000;
/** The folder of the hosts in which the commands run. */
const FOLDER = '/root/packages';
const NEXT_VERSION = '99.0.0';

function sectionOf(title: string): Section {
  const section = INSTALL.find((each) => each.title === title);
  if (section === undefined) throw new Error(`README has no section "${title}"`);
  return section;
}

/** The only block of a section, or the one with that text. */
function stepOf({ steps }: Section, text = ''): Step {
  const [step, ...more] = steps.filter(({ script }) => script.includes(text));
  if (step === undefined || more.length > 0) throw new Error(`README has not one block with "${text}"`);
  return step;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const fromMs = systemClock.monotonicMs();
  await work();
  return Math.round(systemClock.monotonicMs() - fromMs);
}

describe.skipIf(NEED.missing)(title("README's installation", NEED), () => {
  let lab: Lab;
  let etcd: EtcdServer;
  let hosts: readonly [deb12: System, deb13: System];
  let temporary: string;
  const dockers: SystemDocker[] = [];
  const containers: EngineContainer[] = [];

  const on = (system: System, { script }: Step): Promise<string> =>
    system.run('sh', '-euc', `cd ${FOLDER}\n${script}`);
  const onEach = async (step: Step): Promise<void> => {
    for (const system of hosts) await on(system, step);
  };
  const inCheckout = ({ script }: Step, folder = PROJECT_ROOT): Promise<string> => {
    // /usr/local/bin of this machine stays as it is. All packages are in npm's cache: the suite's network leads
    // nowhere.
    const enter = 'mount -t tmpfs tmpfs /usr/local/bin; cd "$0"; eval "$1"';
    const env = { ...process.env, npm_config_prefer_offline: 'true' };
    return run(['unshare', '--mount', 'sh', '-euc', enter, folder, script], { timeoutMs: CHECKOUT_MS, env });
  };
  const copyPackage = async (system: System, file: string): Promise<void> => {
    await system.run('mkdir', '-p', FOLDER);
    await copyFile(file, system.path(join(FOLDER, file.slice(file.lastIndexOf('/') + 1))));
  };

  /** Checks that containers reach each other, and see each other's own addresses. */
  async function isConnected(): Promise<void> {
    const [one, two] = containers;
    if (one === undefined || two === undefined) throw new Error('there are no two containers');
    expect(await sourceSeenBy(two.address, one.namespace)).toBe(one.address);
    expect(await sourceSeenBy(one.address, two.namespace)).toBe(two.address);
  }

  /** Packets lost between the two containers while `work` runs. */
  async function lostDuring(work: () => Promise<unknown>): Promise<number> {
    const [one, two] = containers;
    if (one === undefined || two === undefined) throw new Error('there are no two containers');
    await using pings = new PingStream(one, two, join(temporary, `${systemClock.monotonicMs()}.pings`));
    await pings.flows();
    await work();
    await pings.flows();
    return pings.lost();
  }

  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'twill-install-'));
    lab = await openLab({ hosts: 2 });
    etcd = await startEtcd({
      address: lab.host(1).address,
      port: 2379,
      netns: lab.host(1).namespace.name,
      folder: join(lab.folder, 'etcd'),
    });
    const [one, two] = await Promise.all(
      HOSTS.map(({ folder }, place) => System.boot(lab.host(place + 1), folder)),
    );
    if (one === undefined || two === undefined) throw new Error('there are no two hosts');
    hosts = [one, two];
    for (const system of hosts) {
      // The lab's own program.
      await system.run('rm', '/usr/bin/twill');
      const docker = new SystemDocker(system);
      await docker.install();
      dockers.push(docker);
    }
    // The Node.js of Debian 13 itself, below the one of this machine.
    await two.run('umount', '/usr/bin/node');
  });
  afterAll(async () => {
    await etcd?.[Symbol.asyncDispose]();
    await lab?.close();
    await rm(temporary, { recursive: true, force: true });
  });

  it('each section has a test', () => {
    expect(INSTALL.map((section) => section.title).filter((name) => !ELSEWHERE.includes(name))).toEqual([
      'Install',
      'Debian, Ubuntu, Fedora: the package',
      'The tarball',
      'From source',
      'Settings and Docker',
      'Another user than root',
    ]);
    expect(UPGRADE).toHaveLength(1);
  });

  it('a checkout makes the packages, which are as large as the page says', async () => {
    const { steps } = sectionOf('Debian, Ubuntu, Fedora: the package');
    const [build] = steps;
    if (build === undefined) throw new Error('the section has no block');
    expect(build.place).toBe('checkout');
    const said = await inCheckout(build);
    const page = await readChapter('Install');
    for (const [what, name] of [
      ['.deb', 'amd64.deb'],
      ['.rpm', 'x86_64.rpm'],
      ['tarball', 'amd64.tar.gz'],
    ] as const) {
      const told = Number(page.split(`${what} (`)[1]?.split(' MB')[0]);
      const made = Number(said.split(`${name}  `)[1]?.split(' MB')[0]);
      expect(Math.abs(told - made), `${what}: ${told} MB in README, ${made} MB made`).toBeLessThan(0.1);
    }
    const folder = join(PROJECT_ROOT, 'dist/packages');
    for (const name of await readdir(folder))
      for (const system of hosts) if (name.includes('amd64')) await copyPackage(system, join(folder, name));
  });

  it('apt installs the package on Debian 13, and starts nothing', async () => {
    const [, system] = hosts;
    const step = stepOf(sectionOf('Debian, Ubuntu, Fedora: the package'), 'apt');
    process.stdout.write(`${system.host.name}: installed in ${await timed(() => on(system, step))} ms\n`);
    expect(await system.show(UNIT, 'ActiveState')).toBe('inactive');
  });

  it('the tarball is installed on Debian 12', async () => {
    const [system] = hosts;
    await on(system, stepOf(sectionOf('The tarball')));
    expect(await system.show(UNIT, 'ActiveState')).toBe('inactive');
  });

  it('a fresh clone is built', async () => {
    const clone = join(temporary, 'clone');
    await run(['git', 'clone', '--quiet', '--shared', PROJECT_ROOT, clone]);
    expect(await inCheckout(stepOf(sectionOf('From source')), clone)).toMatch(/^twill \d+\.\d+\.\d+$/m);
  });

  it('after the settings the agents run, and Docker has their subnets', async () => {
    const { steps } = sectionOf('Settings and Docker');
    for (const step of steps) {
      if (step.place !== 'each') await on(hosts[0], step);
      else if (!step.script.includes('enable --now twill')) await onEach(step);
      else
        for (const system of hosts)
          process.stdout.write(`${system.host.name}: started in ${await timed(() => on(system, step))} ms\n`);
    }
    for (const docker of dockers) {
      await docker.system.waitFor(UNIT, 'StatusText', /^subnet .*, vxlan, 1 peers$/);
      expect(await docker.system.run('systemctl', 'is-enabled', UNIT)).toBe('enabled');
      await docker.loadImage();
      containers.push(await docker.run('web'));
    }
    await isConnected();
  });

  it('an agent of another user carries the same containers', async () => {
    const lost = await lostDuring(() => onEach(stepOf(sectionOf('Another user than root'))));
    expect(lost).toBe(0);
    for (const system of hosts) {
      expect(await system.run('ps', '-o', 'user=', '-p', await system.show(UNIT, 'MainPID'))).toBe('twill');
      expect((await exposureOf(system)).exposure).toBeLessThanOrEqual(1.9);
    }
  });

  it('an upgrade under traffic loses no packet and keeps the settings, and so does the way back', async () => {
    const [, system] = hosts;
    const [section] = UPGRADE;
    const step = section && stepOf(section, 'force-confold');
    if (step === undefined) throw new Error('the page has no upgrade');
    const settings = await system.run('cat', '/etc/twill/twill.env');
    const restarted = async (script: string): Promise<void> => {
      const pid = await system.show(UNIT, 'MainPID');
      await on(system, { ...step, script });
      await system.waitFor(UNIT, 'MainPID', new RegExp(`^(?!${pid}$|0$)`));
      await system.waitFor(UNIT, 'ActiveState', /^active$/);
      expect(await system.run('cat', '/etc/twill/twill.env')).toBe(settings);
    };
    const old = join(temporary, 'old');
    await run(['mkdir', old]);
    const [name = ''] = (await readdir(join(PROJECT_ROOT, 'dist/packages'))).filter((each) =>
      each.endsWith('amd64.deb'),
    );
    const next = await makeNext(join(PROJECT_ROOT, 'dist/packages', name), temporary);
    await system.run('rm', '-r', FOLDER);
    await copyPackage(system, next);
    expect(await lostDuring(() => restarted(step.script))).toBe(0);
    expect(await system.run('twill', '--version')).toBe(`twill ${NEXT_VERSION}`);
    await system.run('rm', '-r', FOLDER);
    await copyPackage(system, join(PROJECT_ROOT, 'dist/packages', name));
    const back = step.script.replace('install', 'install --allow-downgrades');
    expect(await lostDuring(() => restarted(back))).toBe(0);
    expect(await system.run('twill', '--version')).not.toBe(`twill ${NEXT_VERSION}`);
    await isConnected();
  });

  it('the removal leaves nothing of ours, and Docker takes another network', async () => {
    const [, system] = hosts;
    const [section] = UPGRADE;
    const step = section && stepOf(section, 'purge');
    if (step === undefined) throw new Error('the page has no removal');
    await on(system, step);
    // The operator made this one.
    await system.run('rm', '-r', '/etc/systemd/system/twill.service.d');
    const pruned = ['/var', '/opt', FOLDER].flatMap((path) => ['-path', path, '-prune', '-o']);
    expect(await system.run('find', '/', '-xdev', ...pruned, '-name', '*twill*', '-print')).toBe('');
    expect(await system.run('sh', '-c', 'ip link; iptables-save; nft list tables')).not.toMatch(
      /flannel|twill/i,
    );
    // Docker remembers the subnet of its bridge.
    await system.write('/etc/docker/daemon.json', '{"bip": "172.17.0.1/16"}');
    await system.start(DOCKER, 'restart');
    expect(await system.run('ip', '-br', 'address', 'show', 'docker0')).toContain(' 172.17.0.1/16');
  });
});

/** A package of a later release, which explains a setting anew. Returns its file. */
async function makeNext(deb: string, folder: string): Promise<string> {
  const tree = join(folder, 'next');
  const file = join(folder, `twill_${NEXT_VERSION}-1_amd64.deb`);
  const script = `
    dpkg-deb --raw-extract "$1" "$2"
    sed -i 's/^Version: .*/Version: ${NEXT_VERSION}-1/' "$2/DEBIAN/control"
    sed -i 's/"version":"[^"]*"/"version":"${NEXT_VERSION}"/' "$2/usr/lib/twill/package.json"
    echo '# A new setting.' >> "$2/etc/twill/twill.env"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$2" "$3"`;
  await run(['sh', '-euc', script, 'sh', deb, tree, file]);
  return file;
}

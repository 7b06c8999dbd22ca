// README's chapter about the way from flanneld to Twill and back: its commands run as they stand there, on hosts with
// the real flanneld under the units of its users, while containers of Docker ping each other.
import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EngineContainer, sourceSeenBy } from '../lab/engines/engine.ts';
import { IMAGE } from '../lab/engines/image.ts';
import { type EtcdServer, startEtcd } from '../lab/etcd.ts';
import { readFlanneld } from '../lab/flanneld.ts';
import { type Lab, OVERLAY, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { readChapter, type Step, sectionsIn } from '../lab/page.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { PingStream } from '../lab/ping-stream.ts';
import { DOCKER, SystemDocker } from '../lab/systemd/docker.ts';
import { System } from '../lab/systemd/system.ts';
import { waitFor } from '../lab/wait.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf, UNIT } from './bed.ts';
import { FLANNELD, installByHand, installPackaged } from './flannel-hosts.ts';

const FLANNEL = await readFlanneld();
const NEED = allOf(NEEDS_HOSTS, needsProgram('npm'), needsProgram('go'), {
  missing: FLANNEL.missing !== undefined,
  reason: `needs ${FLANNEL.title}: ${FLANNEL.missing}`,
});
const CHAPTER = await readChapter('From flanneld to Twill and back on VMs');
const SECTIONS = sectionsIn(CHAPTER);
const PREFIX = '/coreos.com/network';
const PACKAGE_MS = 60_000;
/** The most packets of a hundred a second that a step may lose on a busy machine. The page has the usual figures. */
const MOST_LOST = { vxlan: [50, 0], 'host-gw': [0, 0], udp: [600, 600] } as const;
type Type = keyof typeof MOST_LOST;

function configOf(type: Type): string {
  return JSON.stringify({ Network: OVERLAY, Backend: { Type: type } });
}

function stepsOf(title: string): readonly Step[] {
  const section = SECTIONS.find((each) => each.title === title);
  if (section === undefined) throw new Error(`README has no section "${title}"`);
  return section.steps;
}

describe.skipIf(NEED.missing)(title(`README's way from ${FLANNEL.title} to Twill and back`, NEED), () => {
  let lab: Lab;
  let etcd: EtcdServer;
  /** With a unit by hand, and with flannel's settings. */
  let systems: readonly [byHand: System, packaged: System];
  let dockers: readonly SystemDocker[];
  let containers: readonly EngineContainer[] = [];
  let moves = 0;

  beforeAll(async () => {
    await run([process.execPath, join(PROJECT_ROOT, 'scripts/package.mjs')], { timeoutMs: PACKAGE_MS });
    lab = await openLab({ hosts: 2 });
    etcd = await startEtcd({
      address: lab.host(1).address,
      port: 2379,
      netns: lab.host(1).namespace.name,
      folder: join(lab.folder, 'etcd'),
    });
    const booted = await Promise.all(
      HOSTS.map(({ folder }, place) => System.boot(lab.host(place + 1), folder)),
    );
    const [byHand, packaged] = booted;
    if (byHand === undefined || packaged === undefined) throw new Error('there are no two hosts');
    systems = [byHand, packaged];
    dockers = booted.map((system) => new SystemDocker(system));
    for (const docker of dockers) await docker.install();
    await installByHand(byHand, FLANNEL, etcd.url);
    await installPackaged(packaged, FLANNEL, etcd.url);
    for (const system of systems) {
      // The lab's own program.
      await system.run('rm', '/usr/bin/twill');
      const folder = join(PROJECT_ROOT, 'dist/packages');
      for (const name of (await readdir(folder)).filter((each) => each.includes('amd64')))
        await copyFile(join(folder, name), system.path(`/root/${name}`));
    }
    // The Node.js of Debian 13 itself, below the one of this machine.
    await packaged.run('umount', '/usr/bin/node');
    await byHand.run('sh', '-ec', 'cd /root; tar -xf twill-*.tar.gz; ./twill-*-amd64/install.sh');
    await packaged.run('sh', '-ec', 'dpkg --install /root/twill_*.deb');
  });
  afterAll(async () => {
    await etcd?.[Symbol.asyncDispose]();
    await lab?.close();
  });

  async function forget(system: System): Promise<void> {
    await system.run('systemctl', 'stop', DOCKER, 'docker.socket', FLANNELD, UNIT);
    await system.run('twill', 'cleanup');
    await system.exec(['ip', 'link', 'delete', 'docker0']);
    await system.run('systemctl', 'reset-failed');
  }

  async function startDocker(docker: SystemDocker): Promise<void> {
    await docker.system.start(DOCKER);
    expect(await docker.system.show(FLANNELD, 'ActiveState')).toBe('active');
    await docker.loadImage();
    await docker.cli('tag', IMAGE, 'busybox');
  }

  /** Both hosts run flanneld on a network of that type, and have a container each. */
  async function useFlannel(type: Type): Promise<void> {
    await Promise.all(systems.map(forget));
    await etcd.etcdctl('del', '--prefix', `${PREFIX}/subnets`);
    await etcd.etcdctl('put', `${PREFIX}/config`, configOf(type));
    await Promise.all(dockers.map(startDocker));
    containers = await Promise.all(dockers.map((docker) => docker.run(`web-${type}`)));
  }

  const containerOf = (system: System): EngineContainer => {
    const container = containers[systems.indexOf(system as (typeof systems)[0])];
    if (container === undefined) throw new Error('the host has no container');
    return container;
  };
  const peerOf = (system: System): EngineContainer =>
    containerOf(system === systems[0] ? systems[1] : systems[0]);

  const on = (system: System, { script }: Step): Promise<string> =>
    system.run('env', `PEER=${peerOf(system).address}`, 'sh', '-euc', script);

  /** Runs blocks of the page on a host while pings flow both ways, and returns how many were lost. */
  async function move(system: System, steps: readonly Step[]): Promise<number> {
    const [from, to] = [containerOf(system), peerOf(system)];
    const subnet = await subnetOf(system);
    const docker = await system.show(DOCKER, 'MainPID');
    moves += 1;
    const log = (name: string): string => join(lab.folder, `move-${moves}-${name}.pings`);
    await using out = new PingStream(from, to, log('out'));
    await using back = new PingStream(to, from, log('back'));
    await Promise.all([out.flows(), back.flows()]);
    const outputs: string[] = [];
    for (const step of steps) outputs.push(await on(system, step));
    await Promise.all([out.flows(), back.flows()]);
    expect(await subnetOf(system)).toBe(subnet);
    expect(await system.show(DOCKER, 'MainPID')).toBe(docker);
    expect(await sourceSeenBy(to.address, from.namespace)).toBe(from.address);
    expect(await sourceSeenBy(from.address, to.namespace)).toBe(to.address);
    return Math.max(await out.lost(), await back.lost());
  }

  const stateOf = (system: System): Promise<string> =>
    system.run('systemctl', 'show', '--property=ActiveState', '--value', UNIT, FLANNELD);

  it('the page names each backend, and has these sections', () => {
    for (const type of Object.keys(MOST_LOST)) expect(CHAPTER).toContain(`| ${type} |`);
    expect(SECTIONS.map((section) => section.title).slice(1)).toEqual([
      "With flannel's own settings",
      "With a unit of one's own",
    ]);
  });

  describe.each(['vxlan', 'host-gw', 'udp'] as const)('with %s', (type) => {
    beforeAll(() => useFlannel(type));

    it("Twill finds flannel's configuration", async () => {
      const [look] = stepsOf(SECTIONS[0]?.title ?? '');
      if (look === undefined) throw new Error('the chapter has no block before its sections');
      for (const system of systems)
        expect(JSON.parse(await on(system, look))).toEqual(JSON.parse(configOf(type)));
    });

    it("a host with flannel's settings changes to twill.service", async () => {
      const system = systems[1];
      const [change, look] = stepsOf("With flannel's own settings");
      if (change === undefined || look === undefined) throw new Error('the section has no two blocks');
      await system.run('rm', '-f', '/run/flannel/docker');
      const lost = await move(system, [change, look]);
      process.stdout.write(`${type}: ${lost} packets of 100 a second lost on the way to twill.service\n`);
      expect(lost).toBeLessThanOrEqual(MOST_LOST[type][0]);
      expect(await stateOf(system)).toBe('active\n\ninactive');
      expect(await system.run('cat', '/run/flannel/docker')).toContain(
        `--bip=${await subnetOf(system)}.1/24`,
      );
    });

    it('a host with a unit by hand keeps it', async () => {
      const [system] = systems;
      const [change] = stepsOf("With a unit of one's own");
      if (change === undefined) throw new Error('the section has no block');
      const lost = await move(system, [change]);
      process.stdout.write(`${type}: ${lost} packets of 100 a second lost on the way to Twill by a link\n`);
      expect(lost).toBeLessThanOrEqual(MOST_LOST[type][0]);
      expect(await stateOf(system)).toBe('inactive\n\nactive');
      expect(await system.show(FLANNELD, 'StatusText')).toMatch(/ 1 peers$/);
    });

    it('both go back', async () => {
      const [byHand, packaged] = systems;
      const back = stepsOf("With flannel's own settings")[2];
      const backByHand = stepsOf("With a unit of one's own")[1];
      if (back === undefined || backByHand === undefined) throw new Error('the page has no way back');
      const lost = await move(packaged, [type === 'udp' ? withCleanup(back) : back]);
      process.stdout.write(`${type}: ${lost} packets of 100 a second lost on the way back\n`);
      expect(lost).toBeLessThanOrEqual(MOST_LOST[type][1]);
      expect(await stateOf(packaged)).toBe('inactive\n\nactive');
      // What stays is what the page names.
      const left =
        (await packaged.run('sh', '-c', 'nft list tables; iptables-save')).match(/twill\S*/gi) ?? [];
      for (const name of type === 'udp' ? left : []) expect(name).toBe('nothing');
      for (const name of left) expect(CHAPTER).toContain(`\`ip ${name}\``);
      const lostByHand = await move(byHand, [type === 'udp' ? withCleanup(backByHand) : backByHand]);
      process.stdout.write(`${type}: ${lostByHand} packets of 100 a second lost on the way back by a link\n`);
      expect(lostByHand).toBeLessThanOrEqual(MOST_LOST[type][1]);
    });
  });

  it('a host that boots has its agent before Docker, with the same subnet', async () => {
    const [, system] = systems;
    const [change] = stepsOf("With flannel's own settings");
    if (change === undefined) throw new Error('the section has no block');
    await on(system, change);
    const subnet = await subnetOf(system);
    await system.reboot();
    await system.waitFor(DOCKER, 'ActiveState', /^active$/);
    expect(await stateOf(system)).toBe('active\n\ninactive');
    expect(await system.run('ip', '-br', 'address', 'show', 'docker0')).toContain(` ${subnet}.1/24`);
  });

  it('a package that is removed spares the network of flanneld', async () => {
    const [, system] = systems;
    await system.run('systemctl', 'disable', 'twill');
    await system.run('systemctl', 'enable', '--now', 'flanneld');
    const routes = await system.run('ip', 'route');
    await system.run('dpkg', '--purge', 'twill');
    expect(await system.run('ip', 'route')).toBe(routes);
    expect(routes).toContain('flannel');
    await waitFor(
      'flanneld runs on',
      5_000,
      async () => (await system.show(FLANNELD, 'ActiveState')) === 'active',
    );
  });
});

/** The block as the page wants it with udp. */
function withCleanup(step: Step): Step {
  return { ...step, script: step.script.replace(/(?=.*\n$)/, 'twill cleanup\n') };
}

// Debian's own Docker under its own unit, with the drop-in and the path unit.
import { dirname } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../agent/base/clock.ts';
import type { EngineContainer } from '../lab/engines/engine.ts';
import { SUBNETS_KEY } from '../lab/stored-leases.ts';
import type { DebianHost } from '../lab/systemd/debian-hosts.ts';
import { DOCKER, SystemDocker } from '../lab/systemd/docker.ts';
import { configureTwill } from '../lab/systemd/install-twill.ts';
import type { System } from '../lab/systemd/system.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf, UNIT, useHosts } from './bed.ts';
import { DROP_IN, MAKE, OTHER_UNITS, OUR_FLAGS, REFUSALS } from './docker-units.ts';

const PATH_UNIT = 'twill-docker.path';
const RESTARTER = 'twill-docker.service';
/** A lease of a node that does not exist. */
const OF_ANOTHER =
  '{"PublicIP":"192.168.77.99","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}}';

const NEWEST = HOSTS.at(-1) as DebianHost;

/** The words of the command line of Docker's unit, as systemd reads them. */
async function commandLine(system: System): Promise<string> {
  return /argv\[\]=(.*?) ;/.exec(await system.show(DOCKER, 'ExecStart'))?.[1] ?? '';
}

describe.skipIf(NEEDS_HOSTS.missing)(title('Docker under systemd', NEEDS_HOSTS), () => {
  const bed = useHosts();

  describe('the drop-in', () => {
    const system = () => bed().system(NEWEST);

    it.each(OTHER_UNITS)('is written for the unit of $name', async ({ text }) => {
      await using _unit = await system().replace(`/etc/systemd/system/${DOCKER}`, text);
      await system().run('systemctl', 'daemon-reload');
      const before = await commandLine(system());
      await system().run(MAKE);
      expect(await commandLine(system())).toBe(`${before} ${OUR_FLAGS}`);
      await system().run(MAKE, '--remove');
    });

    it.each(REFUSALS)('is refused where $name', async ({ path, text, reason }) => {
      await using _file = await system().replace(path, text);
      await system().run('systemctl', 'daemon-reload');
      const { exitCode, stdout, stderr } = await system().exec([MAKE]);
      expect([exitCode > 0, stdout, stderr]).toEqual([true, '', expect.stringContaining(reason)]);
      expect((await system().exec(['test', '-e', DROP_IN])).exitCode).toBe(1);
    });

    it('is refused with a word that the script does not know', async () => {
      expect(await system().exec([MAKE, '--off'])).toEqual({
        exitCode: 1,
        stdout: '',
        stderr: 'docker-drop-in: unknown argument --off; allowed is --remove\n',
      });
    });
  });

  describe.each(HOSTS.map((host) => [host.title, host] as const))('on %s', (_, host) => {
    const system = () => bed().system(host);
    let docker: SystemDocker;
    const configure = async (prefix: string): Promise<void> =>
      configureTwill(system(), { ...bed().settings, FLANNELD_ETCD_PREFIX: prefix });
    const bridgeAddress = (): Promise<string> =>
      system().run('ip', '-br', '-4', 'address', 'show', 'docker0');
    const starts = async (): Promise<number> =>
      (await system().journal(DOCKER)).match(/^Started docker\.service/gm)?.length ?? 0;
    const web = (): Promise<EngineContainer> =>
      waitFor('the container runs', 10_000, () => docker.container('web').catch(() => undefined));

    // Its unit allows three starts a minute.
    const restartDocker = async (): Promise<void> => {
      await system().run('systemctl', 'reset-failed', DOCKER);
      await system().start(DOCKER, 'restart');
    };

    /** Another node takes the subnet of this one, whose agent runs. Returns when the agent has a new one. */
    const loseSubnet = async (): Promise<string> => {
      const before = await subnetOf(system());
      await bed().etcd.etcdctl('put', `${SUBNETS_KEY}${before}.0-24`, OF_ANOTHER);
      return waitFor('the node has another subnet', 20_000, async () => {
        const now = await subnetOf(system());
        return now !== before && now;
      });
    };

    beforeAll(async () => {
      docker = new SystemDocker(system());
      await docker.install();
      await system().write('/etc/default/docker', 'DOCKER_OPTS=--log-level=warn\n');
      await system().start(DOCKER);
    });

    it('the drop-in is written twice without a change, taken away, and dockerd runs on', async () => {
      const pid = await system().show(DOCKER, 'MainPID');
      const before = await commandLine(system());
      expect(before).toContain('/usr/sbin/dockerd -H fd://');
      expect((await system().exec([MAKE, '--remove'])).stdout).toBe('');
      expect(await system().run(MAKE)).toContain(`wrote ${DROP_IN}: `);
      const written = await system().run('stat', '--format=%i %z', DROP_IN);
      expect(await system().run(MAKE)).toBe('');
      expect(await system().run('stat', '--format=%i %z', DROP_IN)).toBe(written);
      expect(await system().run(MAKE, '--remove')).toContain(`removed ${DROP_IN}: `);
      expect((await system().exec(['test', '-e', dirname(DROP_IN)])).exitCode).toBe(1);
      expect(await commandLine(system())).toBe(before);
      await system().run(MAKE);
      expect(await commandLine(system())).toBe(`${before} ${OUR_FLAGS}`);
      expect(await system().show(DOCKER, 'MainPID')).toBe(pid);
      await system().run('systemctl', 'stop', DOCKER, 'docker.socket');
    });

    it('dockerd waits for an agent that cannot start, and starts by itself with the subnet', async () => {
      await using edit = await system().edit(UNIT, '[Service]\nEnvironment=TWILL_OPTIONS=--no-such-flag\n');
      await system().run('systemctl', 'start', '--no-block', DOCKER);
      await system().waitFor(UNIT, 'ActiveState', /^failed$/);
      await waitFor('dockerd waits', 5_000, async () =>
        (await system().journal(DOCKER)).includes('waiting for /run/flannel/subnet.env'),
      );
      expect(await system().show(DOCKER, 'ActiveState')).toBe('activating');
      await edit[Symbol.asyncDispose]();
      await system().start(UNIT);
      await system().waitFor(DOCKER, 'ActiveState', /^active$/);
      const subnet = await subnetOf(system());
      const pid = await system().show(DOCKER, 'MainPID');
      expect((await system().run('cat', `/proc/${pid}/cmdline`)).replaceAll('\0', ' ').trim()).toBe(
        `/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --log-level=warn --bip=${subnet}.1/24 --ip-masq=true --mtu=1450`,
      );
      expect(await bridgeAddress()).toContain(` ${subnet}.1/24`);
      await docker.loadImage();
      const { address, namespace } = await docker.run('web', '--restart=always');
      expect(address).toBe(`${subnet}.2`);
      expect(await namespace.run(['ip', 'link', 'show', 'eth0'])).toContain(' mtu 1450 ');
    });

    it('dockerd starts after an agent that waits for its network', async () => {
      await system().run('systemctl', 'stop', DOCKER, 'docker.socket', UNIT);
      await configure('/later');
      await system().run('systemctl', 'start', '--no-block', DOCKER);
      await system().waitFor(UNIT, 'ActiveState', /^activating$/);
      expect(await system().show(DOCKER, 'ActiveState')).toBe('inactive');
      await bed().etcd.etcdctl('put', '/later/config', '{"Network":"10.6.0.0/16"}');
      await system().waitFor(DOCKER, 'ActiveState', /^active$/);
      expect(await bridgeAddress()).toContain(` ${await subnetOf(system())}.1/24`);
      await bed().etcd.etcdctl('del', '/later/config');
      await configure('/coreos.com/network');
      await system().start(UNIT, 'restart');
      await restartDocker();
    });

    it('dockerd and its containers run on when the agent is killed, and when it is stopped', async () => {
      const pids = async (): Promise<string> =>
        `${await system().show(DOCKER, 'MainPID')} ${await docker.cli('inspect', '-f', '{{.State.Pid}}', 'web')}`;
      await web();
      const before = await pids();
      await system().run('systemctl', 'kill', '--signal=KILL', UNIT);
      await system().waitFor(UNIT, 'NRestarts', /^1$/);
      await system().run('systemctl', 'stop', UNIT);
      expect(await system().show(DOCKER, 'ActiveState')).toBe('active');
      expect(await pids()).toBe(before);
      await system().start(UNIT);
    });

    it('without the path unit the log names the bridge with the former subnet, and the remedy', async () => {
      const before = await subnetOf(system());
      const count = await starts();
      const after = await loseSubnet();
      await waitFor('the agent names docker0', 10_000, async () =>
        (await system().journal(UNIT)).includes(
          `docker0 still has ${before}.1/24 of this node's former subnet ${before}.0/24`,
        ),
      );
      expect(await starts()).toBe(count);
      expect(await bridgeAddress()).toContain(` ${before}.1/24`);
      await restartDocker();
      expect((await web()).address).toBe(`${after}.2`);
    });

    it('the path unit restarts dockerd once when the subnet changes, and never otherwise', async () => {
      await system().run('systemctl', 'start', PATH_UNIT);
      const count = await starts();
      // By default a unit may be started five times in ten seconds, and its path unit would give up then.
      for (let touch = 0; touch < 8; touch += 1) {
        await system().run('touch', '/run/flannel/subnet.env');
        await systemClock.sleep(200);
      }
      expect(await system().show(RESTARTER, 'InactiveEnterTimestamp')).not.toBe('');
      expect(await system().show(PATH_UNIT, 'ActiveState')).toBe('active');
      await system().start(UNIT, 'restart');
      expect(await starts()).toBe(count);
      const after = await loseSubnet();
      await waitFor('docker0 has the other subnet', 15_000, async () =>
        (await bridgeAddress()).includes(` ${after}.1/24`),
      );
      expect((await web()).address).toBe(`${after}.2`);
      await system().waitFor(RESTARTER, 'ActiveState', /^inactive$/);
      expect(await starts()).toBe(count + 1);
      const lines = (await system().journal(RESTARTER)).match(/docker0 does not have/g);
      expect(lines).toHaveLength(1);
    });

    it('with live-restore a restart leaves the containers and docker0 as they are, until they stop', async () => {
      await system().write('/etc/docker/daemon.json', '{"live-restore": true}');
      await restartDocker();
      const { address } = await web();
      const before = `${await docker.cli('inspect', '-f', '{{.State.Pid}}', 'web')} ${await bridgeAddress()}`;
      const count = await starts();
      const after = await loseSubnet();
      await waitFor('dockerd was restarted', 15_000, async () => (await starts()) > count);
      expect((await web()).address).toBe(address);
      expect(`${await docker.cli('inspect', '-f', '{{.State.Pid}}', 'web')} ${await bridgeAddress()}`).toBe(
        before,
      );
      expect(await starts()).toBe(count + 1);
      await docker.cli('stop', 'web');
      await restartDocker();
      expect(await bridgeAddress()).toContain(` ${after}.1/24`);
    });
  });
});

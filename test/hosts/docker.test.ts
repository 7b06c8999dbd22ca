// Debian's own Docker under its own unit, with the drop-in and the path unit.
import { beforeAll, describe, expect, it } from 'vitest';
import type { EngineContainer } from '../lab/engines/engine.ts';
import { SUBNETS_KEY } from '../lab/stored-leases.ts';
import { DOCKER, SystemDocker } from '../lab/systemd/docker.ts';
import { configureTwill, readDeployed } from '../lab/systemd/install-twill.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf, UNIT, useHosts } from './bed.ts';

const PATH_UNIT = 'twill-docker.path';
const RESTARTER = 'twill-docker.service';
/** A lease of a node that does not exist. */
const OF_ANOTHER =
  '{"PublicIP":"192.168.77.99","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}}';

describe.skipIf(NEEDS_HOSTS.missing)(title('Docker under systemd', NEEDS_HOSTS), () => {
  const bed = useHosts();

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
      const dropIn = '/etc/systemd/system/docker.service.d/10-twill.conf';
      await system().write(dropIn, await readDeployed('systemd/docker.service.d/10-twill.conf'));
      await system().run('systemctl', 'daemon-reload');
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
      await system().run('touch', '/run/flannel/subnet.env');
      await system().waitFor(RESTARTER, 'InactiveEnterTimestamp', /./);
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
  });
});

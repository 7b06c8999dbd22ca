// Docker's drop-in and the path unit, with a stand-in for dockerd. It keeps its flags, and its bridge has the address.
// The part `containers` has real daemons, which take the same flags.
import { beforeAll, describe, expect, it } from 'vitest';
import { configureTwill, readDeployed } from '../lab/systemd/install-twill.ts';
import { waitFor } from '../lab/wait.ts';
import { title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf, UNIT, useHosts } from './bed.ts';

const DOCKER = 'docker.service';
// As Debian's unit has it, but for NotifyAccess, which a script needs.
const DOCKER_UNIT = `
[Unit]
After=network-online.target
StartLimitBurst=3
StartLimitIntervalSec=60
[Service]
Type=notify
NotifyAccess=all
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
Restart=always
RestartSec=2
TimeoutStartSec=60
`;
const DOCKERD = `#!/bin/sh
echo "$*" > /run/dockerd-flags
for flag; do
  case $flag in --bip=*) ip address flush dev docker0; ip address add "\${flag#--bip=}" dev docker0;; esac
done
systemd-notify --ready
exec sleep infinity
`;

describe.skipIf(NEEDS_HOSTS.missing)(title("Docker's drop-in", NEEDS_HOSTS), () => {
  const bed = useHosts();

  describe.each(HOSTS.map((host) => [host.title, host] as const))('on %s', (_, host) => {
    const system = () => bed().system(host);
    const flags = () => system().run('cat', '/run/dockerd-flags');
    const configure = async (prefix: string): Promise<void> =>
      configureTwill(system(), { ...bed().settings, FLANNELD_ETCD_PREFIX: prefix });

    beforeAll(async () => {
      await system().write('/usr/lib/systemd/system/docker.service', DOCKER_UNIT);
      await system().write('/usr/sbin/dockerd', DOCKERD, 0o755);
      await system().write('/etc/default/docker', 'DOCKER_OPTS=--log-level=warn\n');
      const dropIn = '/etc/systemd/system/docker.service.d/10-twill.conf';
      await system().write(dropIn, await readDeployed('systemd/docker.service.d/10-twill.conf'));
      await system().run('systemctl', 'daemon-reload');
    });

    it('Docker waits for an agent that cannot start, and starts by itself with the subnet', async () => {
      await using edit = await system().edit(UNIT, '[Service]\nEnvironment=TWILL_OPTIONS=--no-such-flag\n');
      await system().run('systemctl', 'start', '--no-block', DOCKER);
      await system().waitFor(UNIT, 'ActiveState', /^failed$/);
      await waitFor('Docker waits', 5_000, async () => {
        return (await system().journal(DOCKER)).includes('waiting for /run/flannel/subnet.env');
      });
      expect(await system().show(DOCKER, 'ActiveState')).toBe('activating');
      await edit[Symbol.asyncDispose]();
      await system().start(UNIT);
      await system().waitFor(DOCKER, 'ActiveState', /^active$/);
      const own = '-H fd:// --containerd=/run/containerd/containerd.sock --log-level=warn';
      expect(await flags()).toBe(`${own} --bip=${await subnetOf(system())}.1/24 --ip-masq=true --mtu=1450`);
    });

    it('Docker starts after the agent, which waits for its network', async () => {
      await system().run('systemctl', 'stop', DOCKER, UNIT);
      await configure('/later');
      await system().run('systemctl', 'start', '--no-block', DOCKER);
      await system().waitFor(UNIT, 'ActiveState', /^activating$/);
      expect(await system().show(DOCKER, 'ActiveState')).toBe('inactive');
      await bed().etcd.etcdctl('put', '/later/config', '{"Network":"10.6.0.0/16"}');
      await system().waitFor(DOCKER, 'ActiveState', /^active$/);
      expect(await flags()).toContain(`--bip=${await subnetOf(system())}.1/24 `);
      await bed().etcd.etcdctl('del', '/later/config');
    });

    it('Docker runs on when the agent is killed, and when it is stopped', async () => {
      const pid = await system().show(DOCKER, 'MainPID');
      await system().run('systemctl', 'kill', '--signal=KILL', UNIT);
      await system().waitFor(UNIT, 'NRestarts', /^1$/);
      await system().run('systemctl', 'stop', UNIT);
      expect(await system().show(DOCKER, 'ActiveState')).toBe('active');
      expect(await system().show(DOCKER, 'MainPID')).toBe(pid);
    });

    it('the path unit restarts Docker once when the subnet changes, and never otherwise', async () => {
      await configure('/coreos.com/network');
      await system().start(UNIT);
      await system().run('systemctl', 'restart', DOCKER);
      await system().run('systemctl', 'start', 'twill-docker.path');
      const pid = await system().show(DOCKER, 'MainPID');
      await system().run('touch', '/run/flannel/subnet.env');
      await system().waitFor('twill-docker.service', 'InactiveEnterTimestamp', /./);
      expect(await system().show(DOCKER, 'MainPID')).toBe(pid);
      const before = await subnetOf(system());
      await bed().etcd.etcdctl('put', '/other/config', '{"Network":"10.7.0.0/16"}');
      await configure('/other');
      await system().start(UNIT, 'restart');
      expect(await subnetOf(system())).not.toBe(before);
      await waitFor('Docker has the other subnet', 10_000, async () => {
        return (await flags()).includes(`--bip=${await subnetOf(system())}.1/24 `);
      });
      const restarts = /docker0 does not have/g;
      const text = await system().journal('twill-docker.service');
      expect(text.match(restarts)).toHaveLength(1);
      await system().run('systemctl', 'stop', 'twill-docker.path');
    });
  });
});

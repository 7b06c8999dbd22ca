// Hosts that run the real flanneld, with units and drop-ins as its users have them.
import { copyFile } from 'node:fs/promises';
import type { Flanneld } from '../lab/flanneld.ts';
import type { System } from '../lab/systemd/system.ts';

/** The unit of flanneld. */
export const FLANNELD = 'flanneld.service';

/** The file of flags that flannel's users give to Docker's unit. */
const FLAGS = '/run/flannel/docker';

const UNIT_HEAD = `[Unit]
Description=Flanneld overlay address etcd agent
After=network-online.target
Wants=network-online.target
After=etcd.service
Before=docker.service

[Service]
Type=notify
`;
const UNIT_TAIL = `
[Install]
WantedBy=multi-user.target
RequiredBy=docker.service
`;
const DOCKER_DROP_IN = `[Service]
EnvironmentFile=-${FLAGS}
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_NETWORK_OPTIONS
`;

/** The files of flannel's package for Fedora and CentOS, and its settings. */
export async function installPackaged(system: System, flanneld: Flanneld, etcdUrl: string): Promise<void> {
  const start = `#!/bin/sh
exec /usr/bin/flanneld -etcd-endpoints=\${FLANNEL_ETCD_ENDPOINTS} -etcd-prefix=\${FLANNEL_ETCD_PREFIX} "$@"
`;
  await system.write('/usr/bin/flanneld-start', start, 0o755);
  await system.write(
    '/etc/sysconfig/flanneld',
    `# Flanneld configuration options

# etcd url location.  Point this to the server where etcd runs
FLANNEL_ETCD_ENDPOINTS="${etcdUrl}"

# etcd config key.  This is the configuration key that flannel queries
FLANNEL_ETCD_PREFIX="/coreos.com/network"

# Any additional options that you want to pass
FLANNEL_OPTIONS="-iface=eth0 -ip-masq"
`,
  );
  const unit = `EnvironmentFile=/etc/sysconfig/flanneld
EnvironmentFile=-/etc/sysconfig/docker-network
ExecStart=/usr/bin/flanneld-start $FLANNEL_OPTIONS
ExecStartPost=/usr/libexec/flannel/mk-docker-opts.sh -k DOCKER_NETWORK_OPTIONS -d ${FLAGS}
Restart=on-failure
`;
  await install(system, flanneld, { programs: ['/usr/bin', '/usr/libexec/flannel'], unit });
}

/** A unit that was written by hand, with all flags in it. */
export async function installByHand(system: System, flanneld: Flanneld, etcdUrl: string): Promise<void> {
  const unit = `ExecStart=/opt/bin/flanneld \\
  -etcd-endpoints=${etcdUrl} \\
  -iface=eth0 \\
  -ip-masq
ExecStartPost=/opt/bin/mk-docker-opts.sh -k DOCKER_NETWORK_OPTIONS -d ${FLAGS}
Restart=always
RestartSec=5
`;
  await install(system, flanneld, { programs: ['/opt/bin', '/opt/bin'], unit });
}

async function install(
  system: System,
  flanneld: Flanneld,
  files: { readonly programs: readonly [flanneld: string, script: string]; readonly unit: string },
): Promise<void> {
  const [folder, scripts] = files.programs;
  await system.run('mkdir', '-p', folder, scripts);
  await copyFile(flanneld.path, system.path(`${folder}/flanneld`));
  await copyFile(flanneld.mkDockerOpts, system.path(`${scripts}/mk-docker-opts.sh`));
  // The script needs awk, whose link Debian's package makes when it is installed.
  await system.run('ln', '-sf', 'mawk', '/usr/bin/awk');
  await system.run('chmod', '755', `${folder}/flanneld`, `${scripts}/mk-docker-opts.sh`);
  await system.write(`/etc/systemd/system/${FLANNELD}`, `${UNIT_HEAD}${files.unit}${UNIT_TAIL}`);
  await system.write('/etc/systemd/system/docker.service.d/flannel.conf', DOCKER_DROP_IN);
  await system.run('systemctl', 'daemon-reload');
  await system.run('systemctl', '--quiet', 'enable', FLANNELD);
}

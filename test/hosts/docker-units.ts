// The drop-in of Docker's unit: units of other distributions that it is made for, and hosts that it is refused on.

/** The program that makes it. */
export const MAKE = '/usr/lib/twill/docker-drop-in';
export const DROP_IN = '/etc/systemd/system/docker.service.d/10-twill.conf';
/** The end of its command line. */
export const OUR_FLAGS = '$DOCKER_OPT_BIP $DOCKER_OPT_IPMASQ $DOCKER_OPT_MTU';

interface OtherUnit {
  readonly name: string;
  /** The part that matters, in the form of that unit. */
  readonly text: string;
}

export const OTHER_UNITS: readonly OtherUnit[] = [
  {
    name: "Docker's own packages",
    text: `[Unit]
Requires=docker.socket
[Service]
Type=notify
# ExecStart=/usr/bin/false
ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock
TimeoutStartSec=0
`,
  },
  {
    name: 'Fedora and its kin, on several lines and with variables',
    text: `[Service]
Type=notify
EnvironmentFile=-/etc/sysconfig/docker
ExecStart=/usr/bin/dockerd \\
          --host=fd:// \\
          # Not --bip=10.1.2.1/24
          --exec-opt native.cgroupdriver=systemd --log-opt tag="a %% b" \\
          $OPTIONS \\
          $DOCKER_STORAGE_OPTIONS \\
          $DOCKER_NETWORK_OPTIONS
ExecReload=/bin/kill -s HUP $MAINPID
`,
  },
  {
    name: 'somebody who starts anew',
    text: `[Service]
Type=notify
ExecStart=/usr/bin/false
ExecStart=
  ExecStart = /usr/local/bin/dockerd  
`,
  },
];

interface Refusal {
  readonly name: string;
  /** The file that stands in the way. */
  readonly path: string;
  readonly text: string;
  /** A part of the line. */
  readonly reason: string;
}

const FOLLOWS = "which follows from this node's subnet: remove it there";
const FOLDER = '/etc/systemd/system/docker.service.d';

export const REFUSALS: readonly Refusal[] = [
  ...Object.entries({ bip: '172.26.0.1/16', mtu: 1400, 'ip-masq': false }).map(([key, value]) => ({
    name: `daemon.json has ${key}`,
    path: '/etc/docker/daemon.json',
    text: JSON.stringify({ [key]: value }),
    reason: `/etc/docker/daemon.json: dockerd does not start with the flags of our options file: "${key}" is set there, too`,
  })),
  {
    name: 'the command line has an MTU',
    path: `${FOLDER}/05-own.conf`,
    text: '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --mtu=1400\n',
    reason: `docker-drop-in: ExecStart in ${FOLDER}/05-own.conf has --mtu, ${FOLLOWS}\n`,
  },
  {
    name: 'the settings of the unit have a bridge',
    path: '/etc/default/docker',
    text: '#DOCKER_OPTS="--mtu=1400"\nDOCKER_OPTS="--debug -b br0"\n',
    reason: `docker-drop-in: /etc/default/docker has -b, ${FOLLOWS}\n`,
  },
  {
    name: 'another drop-in would count more',
    path: `${FOLDER}/override.conf`,
    text: '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --debug\n',
    reason: `docker-drop-in: ${FOLDER}/override.conf sets ExecStart, and counts more than 10-twill.conf: give it a name that sorts before\n`,
  },
];

// All flags of the program, as data: flannel's, with flannel's names and defaults, and some of our own (`store`,
// `tunnel-filter`, `ip-forward` and the group `hand-off`). Values are checked against their kind by flag-values.ts and
// further by ../options.ts.

import {
  type Flag,
  ignoredSwitch,
  ignoredText,
  list,
  number,
  request,
  secret,
  text,
  toggle,
} from './flag.ts';

const ETCD_ENDPOINTS = 'http://127.0.0.1:4001,http://127.0.0.1:2379';

export const FLAGS = [
  text(
    'store',
    'datastore',
    'etcd|file:DIR',
    'etcd',
    'datastore of the leases: etcd, or an absolute directory that all agents share',
  ),
  text('etcd-endpoints', 'datastore', 'URL,…', ETCD_ENDPOINTS, 'etcd servers, all http or all https'),
  text('etcd-prefix', 'datastore', 'KEY', '/coreos.com/network', 'start of all keys, in either store'),
  text(
    'etcd-cafile',
    'datastore',
    'FILE',
    '',
    'PEM certificates of the CAs that etcd is verified against; refused beside http:// endpoints',
  ),
  text('etcd-certfile', 'datastore', 'FILE', '', 'PEM client certificate; needs etcd-keyfile'),
  text('etcd-keyfile', 'datastore', 'FILE', '', 'PEM key of the client certificate'),
  secret('etcd-username', 'NAME', 'etcd user; needs etcd-password'),
  secret(
    'etcd-password',
    'TEXT',
    'password of the etcd user; better set in the environment, where other users cannot see it',
  ),
  text('etcd-password-file', 'datastore', 'FILE', '', 'file with that password, in place of etcd-password'),

  list(
    'iface',
    'underlay',
    'NAME|ADDRESS',
    'interface for traffic between hosts; repeatable, the first match is used',
  ),
  list(
    'iface-regex',
    'underlay',
    'REGEX',
    "the same, by a regular expression (Go's syntax) on addresses, then on names; repeatable, tried after iface",
  ),
  text('iface-can-reach', 'underlay', 'ADDRESS', '', 'the same, by the route to this address'),
  text(
    'public-ip',
    'underlay',
    'ADDRESS',
    '',
    "address that other nodes send to, instead of the interface's own",
  ),
  text('public-ipv6', 'underlay', 'ADDRESS', '', 'not supported yet'),

  toggle('ip-masq', 'firewall', false, 'masquerade traffic that leaves the overlay network'),
  toggle('ip-masq-fully-random-disable', 'firewall', false, 'masquerade without random source ports'),
  toggle('iptables-forward-rules', 'firewall', true, 'accept forwarded packets of the overlay network'),
  number(
    'iptables-resync',
    'firewall',
    'SECONDS',
    { default: 5, min: 1, max: 86_400, clamps: 'both' },
    'time between checks of the rules of the old iptables; nftables tells of changes, and is checked each minute',
  ),

  text(
    'tunnel-filter',
    'firewall',
    'auto|off',
    'auto',
    'drop packets to the ports of vxlan and udp that do not come from peers; off where NAT gives peers other addresses',
  ),

  text(
    'docker-direct',
    'firewall',
    'auto|off',
    'auto',
    'let other nodes reach unpublished ports of containers, which Docker drops since release 28; off leaves its drops',
  ),
  text(
    'ip-forward',
    'node',
    'auto|off',
    'auto',
    'let this host forward packets where it does not; off writes no setting of /proc/sys, and /readyz says what is closed',
  ),

  text(
    'subnet-file',
    'node',
    'FILE',
    '/run/flannel/subnet.env',
    'file that tells Docker and CNI the subnet and the MTU',
  ),
  text(
    'status-socket',
    'node',
    'PATH|off',
    '',
    'unix socket that answers twill status (default: twill.sock beside subnet-file); off: none',
  ),
  number(
    'subnet-lease-renew-margin',
    'node',
    'MINUTES',
    { default: 60, min: 1, max: 1439 },
    'renew the lease when this much of its 24 hours is left',
  ),
  toggle(
    'ip-blackhole-route',
    'node',
    false,
    "drop packets to addresses of this node's subnet that no container has",
  ),
  text(
    'healthz-ip',
    'node',
    'ADDRESS|NAME',
    '0.0.0.0',
    'address that /healthz and /readyz are served on; empty: all',
  ),
  number(
    'healthz-port',
    'node',
    'PORT',
    { default: 0, min: 0, max: 65_535, clamps: 'below' },
    'port of /healthz and /readyz; 0: not served',
  ),

  text(
    'docker-opts-file',
    'hand-off',
    'FILE',
    '',
    "dockerd's flags, as mk-docker-opts.sh writes them: DOCKER_OPT_BIP and the like, and all of them in DOCKER_OPTS",
  ),
  text(
    'cni-conf-file',
    'hand-off',
    'FILE.conflist',
    '',
    'the network twill for containerd, nerdctl, CRI-O and Podman 4, which only ip-masq leads outside; with ' +
      "kube-subnet-mgr the network of the pods, in place of kube-flannel's file",
  ),
  text(
    'podman-network-file',
    'hand-off',
    'NAME.json',
    '',
    'the network NAME for Podman with netavark, in /etc/containers/networks',
  ),

  toggle(
    'kube-subnet-mgr',
    'kubernetes',
    false,
    'take the subnet from the own Node of Kubernetes and peers from the other ones; flags of the datastore have no effect',
  ),
  text(
    'kube-api-url',
    'kubernetes',
    'URL',
    '',
    'API server, in place of that of the kubeconfig; without one it is asked without credentials',
  ),
  text('kubeconfig-file', 'kubernetes', 'FILE', '', "credentials, in place of the pod's ServiceAccount"),
  text(
    'kube-annotation-prefix',
    'kubernetes',
    'TEXT',
    'flannel.alpha.coreos.com',
    'start of the names of annotations: a DNS name, perhaps with a slash and a label',
  ),
  text(
    'net-config-path',
    'kubernetes',
    'FILE',
    '/etc/kube-flannel/net-conf.json',
    'network configuration; its SubnetLen, SubnetMin and SubnetMax have no effect',
  ),
  toggle(
    'set-node-network-unavailable',
    'kubernetes',
    true,
    "keep the Node's condition NetworkUnavailable False while the agent is ready",
  ),

  {
    ...number(
      'v',
      'logging',
      'LEVEL',
      { default: 0, min: 0, max: 99, clamps: 'both' },
      '0 logs what an operator needs, 1 and above everything',
    ),
    isDecimal: true,
  },
  text('log-format', 'logging', 'text|json', 'text', 'form of a line of the log, and of the last error'),

  {
    ...toggle(
      'diff',
      'plan',
      false,
      'print the changes that the kernel needs now, instead of the whole state',
    ),
    environment: false,
  },

  request('help', 'print this text and exit (also -h)'),
  request('version', 'print the version and exit'),

  ...(
    ['vmodule', 'log_backtrace_at', 'log_dir', 'log_file', 'log_file_max_size', 'stderrthreshold'] as const
  ).map(ignoredText),
  ...(
    [
      'logtostderr',
      'alsologtostderr',
      'add_dir_header',
      'one_output',
      'skip_headers',
      'skip_log_headers',
    ] as const
  ).map(ignoredSwitch),
] as const satisfies readonly Flag[];

/** A name of a flag of a kind. */
export type FlagName<K extends Flag['kind'] = Flag['kind']> = Extract<
  (typeof FLAGS)[number],
  { readonly kind: K }
>['name'];

/** The flag of that name; undefined: there is none. */
export function findFlag(name: string): Flag | undefined {
  return FLAGS.find((flag) => flag.name === name);
}

/** How a flag is written on the command line, for messages: `--iface`, `-v`. */
export function spell(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** The environment variable of a flag: `FLANNELD_ETCD_PREFIX`. */
export function environmentName(name: string): string {
  return `FLANNELD_${name.replaceAll('-', '_').toUpperCase()}`;
}

// All flags of the program, as data: flannel's, with flannel's names and defaults, and some of our own (`store`,
// `tunnel-filter`, `ip-forward` and the group `hand-off`). Values are checked against their kind by flag-values.ts and
// further by ../options.ts.

/** Heading of a flag in the help. Flags of `ignored` are accepted and have no effect. */
export type FlagGroup =
  | 'datastore'
  | 'underlay'
  | 'firewall'
  | 'node'
  | 'hand-off'
  | 'kubernetes'
  | 'logging'
  | 'general'
  | 'ignored';

interface FlagBase {
  readonly name: string;
  readonly group: FlagGroup;
  /** For the help: its effect, without the default. */
  readonly meaning: string;
  /** For the help: a placeholder for its value. */
  readonly value?: string;
  /** False: the flag is never read from the environment. */
  readonly environment?: false;
}

/** A flag. If it is given several times, the last value counts, except for a list. */
export type Flag =
  | (FlagBase & { readonly kind: 'bool'; readonly default: boolean })
  | (FlagBase & {
      readonly kind: 'string';
      readonly default: string;
      /** A name or a password: never shown, and any text is a value. */
      readonly isSecret?: true;
    })
  | (FlagBase & {
      readonly kind: 'int';
      /** Only in base 10. */
      readonly isDecimal?: true;
      readonly default: number;
      readonly min: number;
      readonly max: number;
      /** A smaller or larger number counts as `min` or `max`. Otherwise it is refused. */
      readonly clamps?: 'below' | 'both';
    })
  /** All values count, in order. */
  | (FlagBase & { readonly kind: 'list' });

const WITHOUT_KUBERNETES = 'has no effect without kube-subnet-mgr';
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
    'the network twill for containerd, nerdctl, CRI-O and Podman 4; only ip-masq leads its containers outside',
  ),
  text(
    'podman-network-file',
    'hand-off',
    'NAME.json',
    '',
    'the network NAME for Podman with netavark, in /etc/containers/networks',
  ),

  toggle('kube-subnet-mgr', 'kubernetes', false, 'not supported yet'),
  text('kube-api-url', 'kubernetes', 'URL', '', WITHOUT_KUBERNETES),
  text('kube-annotation-prefix', 'kubernetes', 'TEXT', 'flannel.alpha.coreos.com', WITHOUT_KUBERNETES),
  text('kubeconfig-file', 'kubernetes', 'FILE', '', WITHOUT_KUBERNETES),
  text('net-config-path', 'kubernetes', 'FILE', '/etc/kube-flannel/net-conf.json', WITHOUT_KUBERNETES),
  toggle('set-node-network-unavailable', 'kubernetes', true, WITHOUT_KUBERNETES),

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

function text<const N extends string>(
  name: N,
  group: FlagGroup,
  value: string,
  byDefault: string,
  meaning: string,
) {
  return { name, kind: 'string', group, value, default: byDefault, meaning } as const;
}

function secret<const N extends string>(name: N, value: string, meaning: string) {
  return { ...text(name, 'datastore', value, '', meaning), isSecret: true } as const;
}

function toggle<const N extends string>(name: N, group: FlagGroup, byDefault: boolean, meaning: string) {
  return { name, kind: 'bool', group, default: byDefault, meaning } as const;
}

function number<const N extends string>(
  name: N,
  group: FlagGroup,
  value: string,
  range: Pick<Extract<Flag, { readonly kind: 'int' }>, 'default' | 'min' | 'max' | 'clamps'>,
  meaning: string,
) {
  return { name, kind: 'int', group, value, ...range, meaning } as const;
}

function list<const N extends string>(name: N, group: FlagGroup, value: string, meaning: string) {
  return { name, kind: 'list', group, value, meaning } as const;
}

// A flag that prints a text instead of running the command. Never read from the environment: people use
// FLANNELD_VERSION for the tag of an image.
function request<const N extends string>(name: N, meaning: string) {
  return { ...toggle(name, 'general', false, meaning), environment: false } as const;
}

// A flag of flannel's logging library. Unit files contain such flags; here they have no effect.
function ignoredText<const N extends string>(name: N) {
  return { ...text(name, 'ignored', 'TEXT', '', 'has no effect'), environment: false } as const;
}

function ignoredSwitch<const N extends string>(name: N) {
  return { ...toggle(name, 'ignored', false, 'has no effect'), environment: false } as const;
}

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

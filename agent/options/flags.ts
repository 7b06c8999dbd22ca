// All flags of the program, as data: flannel's, with flannel's names and defaults, and one of our own (`store`).
// What the values must look like beyond their kind is checked in ../options.ts.

/** Heading under which a flag is listed in the help; flags of `ignored` are accepted and do nothing. */
export type FlagGroup =
  | 'datastore'
  | 'underlay'
  | 'firewall'
  | 'node'
  | 'kubernetes'
  | 'logging'
  | 'general'
  | 'ignored';

interface FlagBase {
  readonly name: string;
  readonly group: FlagGroup;
  /** For the help: what it does, without its default. */
  readonly meaning: string;
  /** For the help: what its value is. */
  readonly value?: string;
  /** False: only on the command line, never from the environment. */
  readonly environment?: false;
}

/** `list` may be given several times; of the others the last one counts. */
export type Flag =
  | (FlagBase & { readonly kind: 'bool'; readonly default: boolean })
  | (FlagBase & { readonly kind: 'string'; readonly default: string; readonly secret?: true })
  | (FlagBase & {
      readonly kind: 'int';
      readonly default: number;
      readonly min: number;
      readonly max: number;
    })
  | (FlagBase & { readonly kind: 'list' });

const ETCD_ENDPOINTS = 'http://127.0.0.1:4001,http://127.0.0.1:2379';

export const FLAGS = [
  {
    name: 'store',
    kind: 'string',
    default: 'etcd',
    group: 'datastore',
    value: 'etcd|file:DIR',
    meaning: 'where leases are kept: etcd, or an absolute directory that all agents share',
  },
  {
    name: 'etcd-endpoints',
    kind: 'string',
    default: ETCD_ENDPOINTS,
    group: 'datastore',
    value: 'URL,…',
    meaning: 'etcd servers, all http or all https',
  },
  {
    name: 'etcd-prefix',
    kind: 'string',
    default: '/coreos.com/network',
    group: 'datastore',
    value: 'KEY',
    meaning: 'start of all keys, in either store',
  },
  {
    name: 'etcd-cafile',
    kind: 'string',
    default: '',
    group: 'datastore',
    value: 'FILE',
    meaning: 'PEM certificates of the authorities that etcd is checked against; works alone',
  },
  {
    name: 'etcd-certfile',
    kind: 'string',
    default: '',
    group: 'datastore',
    value: 'FILE',
    meaning: 'PEM client certificate; needs etcd-keyfile',
  },
  {
    name: 'etcd-keyfile',
    kind: 'string',
    default: '',
    group: 'datastore',
    value: 'FILE',
    meaning: 'PEM key of the client certificate',
  },
  {
    name: 'etcd-username',
    kind: 'string',
    default: '',
    group: 'datastore',
    value: 'NAME',
    meaning: 'etcd user; needs etcd-password',
  },
  {
    name: 'etcd-password',
    kind: 'string',
    default: '',
    secret: true,
    group: 'datastore',
    value: 'TEXT',
    meaning: 'password of the etcd user; better given in the environment, where other users cannot see it',
  },
  {
    name: 'iface',
    kind: 'list',
    group: 'underlay',
    value: 'NAME|ADDRESS',
    meaning: 'interface for traffic between hosts; repeatable, the first that fits is taken',
  },
  {
    name: 'iface-regex',
    kind: 'list',
    group: 'underlay',
    value: 'REGEX',
    meaning: 'the same by a regular expression on names, then on addresses; repeatable, tried after iface',
  },
  {
    name: 'iface-can-reach',
    kind: 'string',
    default: '',
    group: 'underlay',
    value: 'ADDRESS',
    meaning: 'the interface that packets to this address leave by',
  },
  {
    name: 'public-ip',
    kind: 'string',
    default: '',
    group: 'underlay',
    value: 'ADDRESS',
    meaning: "address that other nodes send to, instead of the interface's own",
  },
  {
    name: 'public-ipv6',
    kind: 'string',
    default: '',
    group: 'underlay',
    value: 'ADDRESS',
    meaning: 'not supported yet',
  },
  {
    name: 'ip-masq',
    kind: 'bool',
    default: false,
    group: 'firewall',
    meaning: 'masquerade traffic that leaves the overlay network',
  },
  {
    name: 'ip-masq-fully-random-disable',
    kind: 'bool',
    default: false,
    group: 'firewall',
    meaning: 'masquerade without random source ports',
  },
  {
    name: 'iptables-forward-rules',
    kind: 'bool',
    default: true,
    group: 'firewall',
    meaning: 'accept forwarded packets of the overlay network',
  },
  {
    name: 'iptables-resync',
    kind: 'int',
    default: 5,
    min: 1,
    max: 86_400,
    group: 'firewall',
    value: 'SECONDS',
    meaning: 'time between checks of the firewall rules, iptables or nftables',
  },
  {
    name: 'subnet-file',
    kind: 'string',
    default: '/run/flannel/subnet.env',
    group: 'node',
    value: 'FILE',
    meaning: 'file that tells Docker and CNI the subnet and the MTU',
  },
  {
    name: 'subnet-lease-renew-margin',
    kind: 'int',
    default: 60,
    min: 1,
    max: 1439,
    group: 'node',
    value: 'MINUTES',
    meaning: 'renew the lease when this much of its 24 hours is left',
  },
  {
    name: 'ip-blackhole-route',
    kind: 'bool',
    default: false,
    group: 'node',
    meaning: "drop packets to addresses of this node's subnet that no container has",
  },
  {
    name: 'healthz-ip',
    kind: 'string',
    default: '0.0.0.0',
    group: 'node',
    value: 'ADDRESS',
    meaning: 'address that /healthz and /readyz are served on',
  },
  {
    name: 'healthz-port',
    kind: 'int',
    default: 0,
    min: 0,
    max: 65_535,
    group: 'node',
    value: 'PORT',
    meaning: 'port of /healthz and /readyz; 0: not served',
  },
  {
    name: 'kube-subnet-mgr',
    kind: 'bool',
    default: false,
    group: 'kubernetes',
    meaning: 'not supported yet',
  },
  {
    name: 'kube-api-url',
    kind: 'string',
    default: '',
    group: 'kubernetes',
    value: 'URL',
    meaning: 'not supported yet',
  },
  {
    name: 'kube-annotation-prefix',
    kind: 'string',
    default: 'flannel.alpha.coreos.com',
    group: 'kubernetes',
    value: 'TEXT',
    meaning: 'not supported yet',
  },
  {
    name: 'kubeconfig-file',
    kind: 'string',
    default: '',
    group: 'kubernetes',
    value: 'FILE',
    meaning: 'not supported yet',
  },
  {
    name: 'net-config-path',
    kind: 'string',
    default: '/etc/kube-flannel/net-conf.json',
    group: 'kubernetes',
    value: 'FILE',
    meaning: 'not supported yet',
  },
  {
    name: 'set-node-network-unavailable',
    kind: 'bool',
    default: true,
    group: 'kubernetes',
    meaning: 'not supported yet',
  },
  {
    name: 'v',
    kind: 'int',
    default: 0,
    min: 0,
    max: 99,
    group: 'logging',
    value: 'LEVEL',
    meaning: '0 logs what an operator needs, 1 and above everything',
  },
  {
    name: 'help',
    kind: 'bool',
    default: false,
    environment: false,
    group: 'general',
    meaning: 'print this text and exit (also -h)',
  },
  {
    name: 'version',
    kind: 'bool',
    default: false,
    environment: false,
    group: 'general',
    meaning: 'print the version and exit',
  },
  ignoredText('vmodule'),
  ignoredText('log_backtrace_at'),
  ignoredText('log_dir'),
  ignoredText('log_file'),
  ignoredText('log_file_max_size'),
  ignoredText('stderrthreshold'),
  ignoredSwitch('logtostderr'),
  ignoredSwitch('alsologtostderr'),
  ignoredSwitch('add_dir_header'),
  ignoredSwitch('one_output'),
  ignoredSwitch('skip_headers'),
  ignoredSwitch('skip_log_headers'),
] as const satisfies readonly Flag[];

// Flags of the logging library that flannel uses: unit files have them, and here they have nothing to set.
function ignoredText<const N extends string>(name: N) {
  const flag = {
    name,
    kind: 'string',
    default: '',
    environment: false,
    group: 'ignored',
    value: 'TEXT',
  } as const;
  return { ...flag, meaning: 'has no effect' } as const;
}

function ignoredSwitch<const N extends string>(name: N) {
  const flag = { name, kind: 'bool', default: false, environment: false, group: 'ignored' } as const;
  return { ...flag, meaning: 'has no effect' } as const;
}

/** Names of all flags of a kind. */
export type FlagName<K extends Flag['kind'] = Flag['kind']> = Extract<
  (typeof FLAGS)[number],
  { readonly kind: K }
>['name'];

/** The flag of that name. Undefined: there is none. */
export function findFlag(name: string): Flag | undefined {
  return FLAGS.find((flag) => flag.name === name);
}

/** How a flag is written on the command line, for messages: `--iface`, `-v`. */
export function spell(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** The environment variable that stands in for a flag: `FLANNELD_ETCD_PREFIX`. */
export function environmentName(name: string): string {
  return `FLANNELD_${name.replaceAll('-', '_').toUpperCase()}`;
}

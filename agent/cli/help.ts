// The texts of `twill help` and `--help`, generated from the table of flags.
import type { Flag, FlagGroup } from '../options/flag.ts';
import { FLAGS, spell } from '../options/flags.ts';

/** The commands, with their operands and meanings. */
export const COMMANDS = {
  run: { operands: '', meaning: 'run the agent (also: the program called as twilld, or with flags only)' },
  plan: { operands: '', meaning: 'print the host state that the agent would make, and change nothing' },
  status: {
    operands: '[OPTIONS]',
    meaning: 'ask the agent of this host how this node and its peers are',
  },
  network: {
    operands: 'get | set JSON|@FILE|-',
    meaning: 'read or write the network configuration; it is checked before it is written',
  },
  docker: {
    operands: 'network NAME [OPTIONS]',
    meaning: "print the command that makes a network of Docker on a part of this node's subnet",
  },
  podman: { operands: 'network NAME [OPTIONS]', meaning: 'the same for Podman' },
  'docker-opts': {
    operands: '[-f FILE] [-d FILE] [-i] [-c] [-k KEY] [-m]',
    meaning: "write dockerd's flags for this node's subnet, as mk-docker-opts.sh does",
  },
  'hand-back': {
    operands: '',
    meaning: "prepare this node's pods for a move back to kube-flannel, so that it frees their addresses",
  },
  cleanup: { operands: '', meaning: 'remove from this host all that the agent made, and nothing else' },
  help: { operands: '[COMMAND]', meaning: 'print this text, or the flags of a command' },
} as const satisfies Readonly<Record<string, { readonly operands: string; readonly meaning: string }>>;

export type CommandName = keyof typeof COMMANDS;

const HEADINGS: readonly (readonly [FlagGroup, string])[] = [
  ['datastore', 'Datastore'],
  ['underlay', 'Interface between hosts'],
  ['firewall', 'Firewall'],
  ['node', 'This node'],
  ['hand-off', 'Files for engines: each gives the whole subnet to one'],
  ['logging', 'Logging'],
  ['kubernetes', 'Kubernetes: all but the first have no effect without it'],
  ['plan', 'This command'],
  ['general', 'General'],
];

// Every command accepts all flags, so that a unit's flags can be pasted. Its help lists only the relevant groups.
const RELEVANT: Readonly<Record<CommandName, readonly FlagGroup[]>> = {
  run: HEADINGS.map(([group]) => group).filter((group) => group !== 'plan'),
  status: [],
  plan: ['plan', 'datastore', 'kubernetes', 'underlay', 'node', 'logging', 'general'],
  network: ['datastore', 'logging', 'general'],
  docker: [],
  podman: [],
  'docker-opts': [],
  'hand-back': [],
  cleanup: ['node', 'hand-off', 'logging', 'general'],
  help: ['general'],
};

const OF_ENGINES: readonly (readonly [string, string])[] = [
  ['--part I/N', 'the I-th of N equal parts of the subnet, N a power of two (default 1/1, the whole)'],
  ['--apply', 'run the command instead of printing it'],
  ['--subnet-file FILE', 'file with the subnet (default /run/flannel/subnet.env)'],
];

// The options of mk-docker-opts.sh.
const DOCKER_OPTS: readonly (readonly [string, string])[] = [
  ['-f FILE', 'file with the subnet (default /run/flannel/subnet.env)'],
  ['-d FILE', 'file that is written (default /run/docker_opts.env)'],
  ['-i', 'write a variable for each flag: DOCKER_OPT_BIP, DOCKER_OPT_IPMASQ, DOCKER_OPT_MTU'],
  ['-c', 'write one variable with all flags; without -i and -c both are written'],
  [
    '-k KEY',
    'name of that one variable (default DOCKER_OPTS); its value in the environment comes first in it',
  ],
  ['-m', 'leave out --ip-masq'],
];

const OF_STATUS: readonly (readonly [string, string])[] = [
  ['--all', 'list all peers; without it at most 20, faulty ones first'],
  ['--peer NAME|SUBNET|ADDRESS', 'show one peer'],
  ['--json', 'print JSON with the schema twill.status/1'],
  ['--watch', 'ask again every 2 seconds'],
  ['--check peers', 'exit with 8 also where a peer is not reached'],
  ['--subnet-file FILE', 'the subnet file of the agent (default /run/flannel/subnet.env)'],
  ['--status-socket PATH', 'the socket of the agent (default: twill.sock beside the subnet file)'],
];

/** The options of commands that do not take the agent's flags. */
const OWN_OPTIONS: Partial<Record<CommandName, readonly (readonly [string, string])[]>> = {
  docker: OF_ENGINES,
  podman: OF_ENGINES,
  'docker-opts': DOCKER_OPTS,
  status: OF_STATUS,
};

/** Whether a command has options of its own, and of the agent's flags `help` and `version` alone. */
export function hasOwnOptions(name: CommandName): boolean {
  return OWN_OPTIONS[name] !== undefined;
}

/** Whether there is a command of that name. */
export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/** The text of `twill help`. */
export function formatHelp(version: string): string {
  const commands = Object.entries(COMMANDS).map(([name, { operands, meaning }]) =>
    column(`${name} ${operands}`.trim(), meaning),
  );
  return [
    `twill ${version}: cross-host container networking, in place of flanneld\n\n`,
    'usage: twill COMMAND [FLAGS]\n\n',
    ...commands,
    '\n`twill help run` lists all flags. Errors end with the exit code of their kind:\n',
    '1 internal, 2 usage, 3 network configuration, 4 datastore, 5 this host, 6 network exhausted, 7 conflict,\n',
    '8 this node is not ready (status), 9 no agent runs (status).\n',
  ].join('');
}

/** The text of `twill COMMAND --help`. */
export function formatCommandHelp(name: CommandName): string {
  const { operands, meaning } = COMMANDS[name];
  const groups = HEADINGS.filter(([group]) => RELEVANT[name].includes(group));
  const sections = groups.map(([group, heading]) => {
    const flags = (FLAGS as readonly Flag[]).filter((flag) => flag.group === group);
    return `\n${heading}\n${flags.map(formatFlag).join('')}`;
  });
  const ignored = FLAGS.filter((flag) => flag.group === 'ignored').map((flag) => spell(flag.name));
  const notes = [
    '\nEach flag may also be given as an environment variable: FLANNELD_ and its name in capitals, - as _.\n',
    'A switch is turned off by --NAME=false. One dash is as good as two.\n',
    'With kube-subnet-mgr NODE_NAME names the own Node, or POD_NAMESPACE and POD_NAME a pod on it.\n',
    "flannel's EVENT_QUEUE_DEPTH and CONT_WHEN_CACHE_NOT_READY have no effect.\n",
    `Accepted for compatibility with flannel, without effect: ${ignored.join(' ')}\n`,
  ];
  const own = OWN_OPTIONS[name]?.map(([option, text]) => column(option, text)) ?? [];
  const hasFlags = name !== 'help' && own.length === 0;
  return [
    `usage: twill ${`${name} ${operands}`.trim()}${hasFlags ? ' [FLAGS]' : ''}\n\n${meaning}\n`,
    ...(own.length > 0 ? ['\n', ...own] : []),
    ...sections,
    ...(hasFlags ? notes : []),
  ].join('');
}

function formatFlag(flag: Flag): string {
  const name = `${spell(flag.name)}${flag.value === undefined ? '' : ` ${flag.value}`}`;
  const isOff = flag.kind === 'list' || flag.default === '' || flag.default === false;
  const byDefault = isOff ? '' : ` (default ${flag.default})`;
  return column(name, `${flag.meaning}${byDefault}`);
}

function column(name: string, text: string): string {
  return name.length < 31 ? `  ${name.padEnd(31)}${text}\n` : `  ${name}\n${' '.repeat(33)}${text}\n`;
}

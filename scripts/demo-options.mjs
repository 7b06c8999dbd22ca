// The options of the demo. They are checked before anything is installed or made.
import { parseArgs } from 'node:util';

/** Backends that need no further program. */
const BACKENDS = ['vxlan', 'host-gw', 'udp'];
const STORES = ['file', 'etcd'];
/** Engines whose containers ping, beside the lab's own. */
const ENGINES = ['none', 'docker', 'podman'];
const MIN_NODES = 2;
const MAX_NODES = 20;

export const HELP = `Usage: npm run demo -- [options]

Makes hosts in network namespaces of this machine, runs one agent on each, and shows the leases, the routes, pings
between all containers, and the TCP throughput of one pair. Removes everything at the end.

  --backend ${BACKENDS.join('|')}  the backend (default vxlan)
  --nodes N                    number of hosts, ${MIN_NODES} to ${MAX_NODES} (default 3)
  --store ${STORES.join('|').padEnd(19)}  the datastore: a folder or a real etcd (default file)
  --engine ${ENGINES.join('|').padEnd(18)}  a real container engine on each host (default none: bare namespaces)
  --systemd                    each host boots Debian 13, and installs the package and Docker by the scripts of the
                               Vagrantfile; of the other options only --backend goes with it
  --kubernetes                 two whole nodes of Kubernetes, without a network of pods before the DaemonSet of
                               deploy/kubernetes; of the other options only --backend goes with it
  --keep                       leave the demo running, and print commands to look around
  --remove                     remove a demo that --keep left running
  --help                       print this text
`;

/**
 * @typedef {object} DemoOptions
 * @property {string} backend
 * @property {number} nodes
 * @property {'file' | 'etcd'} store
 * @property {string} engine
 * @property {boolean} systemd
 * @property {boolean} kubernetes
 * @property {boolean} keep
 * @property {boolean} remove
 * @property {boolean} help
 */

/**
 * Parses a command line. Throws an Error of one line.
 *
 * @param {string[]} args
 * @returns {DemoOptions}
 */
export function readDemoOptions(args) {
  const { values, tokens } = parse(args);
  const given = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
  const alone = ['systemd', 'kubernetes'].find((name) => given.includes(name));
  const other = given.find((name) => ![alone, 'backend', 'help'].includes(name));
  if (alone !== undefined && other !== undefined)
    throw new Error(`--${alone}: goes with --backend alone, and not with --${other}`);
  const nodes = Number(values.nodes);
  if (!/^\d+$/.test(values.nodes) || nodes < MIN_NODES || nodes > MAX_NODES) {
    throw new Error(
      `--nodes: must be a whole number from ${MIN_NODES} to ${MAX_NODES}, is "${values.nodes}"`,
    );
  }
  const backend = oneOf('--backend', BACKENDS, values.backend);
  const store = /** @type {'file' | 'etcd'} */ (oneOf('--store', STORES, values.store));
  const engine = oneOf('--engine', ENGINES, values.engine);
  return { ...values, nodes, backend, store, engine };
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args,
      strict: true,
      tokens: true,
      options: {
        backend: { type: 'string', default: 'vxlan' },
        nodes: { type: 'string', default: '3' },
        store: { type: 'string', default: 'file' },
        engine: { type: 'string', default: 'none' },
        systemd: { type: 'boolean', default: false },
        kubernetes: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        remove: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${message.split(/\.\s|\n/)[0]}; --help lists the options`);
  }
}

/**
 * @param {string} flag
 * @param {readonly string[]} allowed
 * @param {string} value
 */
function oneOf(flag, allowed, value) {
  if (allowed.includes(value)) return value;
  throw new Error(`${flag}: must be one of ${allowed.join(', ')}, is "${value}"`);
}

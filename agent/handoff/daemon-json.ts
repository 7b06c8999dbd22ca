// Docker's own configuration file, beside the flags that we hand to dockerd. It does not start where one setting is
// given in both places, with equal values too.
import { asTwillError, errnoOf } from '../base/errors.ts';
import { readWholeFile } from '../base/read-file.ts';
import { parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import {
  containsAddress,
  formatPrefix,
  networkOf,
  overlaps,
  type Prefix,
  parseIPv4,
  parsePrefix,
} from '../model/ip.ts';
import { LIMITS } from './limits.ts';

/** The file that dockerd reads unless its command line says otherwise. */
export const DAEMON_FILE = '/etc/docker/daemon.json';

/** The flags of dockerd for this node's network. */
export interface DockerFlags {
  /** Our subnet, with the address of docker0. */
  readonly bip: Prefix;
  /** Whether Docker masquerades: only where the agent does not. Undefined: the flag is left out. */
  readonly ipMasq: boolean | undefined;
  /** Undefined: the flag is left out. */
  readonly mtuBytes: number | undefined;
}

/** The settings of the file that matter beside our flags. */
export interface DaemonVerdict {
  /** Why dockerd would not start; empty: it would. */
  readonly conflicts: readonly string[];
  /** Settings that dockerd takes, and that cut containers off all the same. */
  readonly notes: readonly string[];
}

/** Judges the file at `path`; there may be none. Fails as `host` where it cannot be read or is no JSON object. */
export async function readDaemonVerdict(path: string, flags: DockerFlags): Promise<DaemonVerdict> {
  let bytes: Buffer;
  try {
    bytes = await readWholeFile(path, { maxBytes: LIMITS.daemonFileBytes });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { conflicts: [], notes: [] };
    throw asTwillError(error, 'host', `cannot read ${path}`);
  }
  return judgeDaemonFile(bytes.toString(), path, flags);
}

const settings = v.custom<Readonly<Record<string, unknown>> | null>(
  (value) => typeof value === 'object' && !Array.isArray(value),
  'must be an object',
);

/** Judges the text of the file. Fails as `host` where it is no JSON object. Pure. */
export function judgeDaemonFile(text: string, path: string, flags: DockerFlags): DaemonVerdict {
  // Docker reads past a byte order mark, and takes an empty file and null for no settings.
  const bare = text.replace(/^\ufeff/, '').trim();
  const found = (bare === '' ? undefined : parseJson(settings, bare, path, 'host')) ?? {};
  const conflicts: string[] = [];
  for (const [name, value] of [
    ['bip', flags.bip],
    ['ip-masq', flags.ipMasq],
    ['mtu', flags.mtuBytes],
  ] as const) {
    if (value !== undefined && Object.hasOwn(found, name)) conflicts.push(`"${name}" is set there, too`);
  }
  const [bridge = '', pool = '', gateway = ''] = ['bridge', 'fixed-cidr', 'default-gateway'].map((name) =>
    typeof found[name] === 'string' ? found[name] : undefined,
  );
  if (bridge !== '') conflicts.push('"bridge" excludes --bip');
  const network = networkOf(flags.bip);
  const gatewayAddress = parseIPv4(gateway);
  if (gatewayAddress !== undefined && !containsAddress(network, gatewayAddress)) {
    conflicts.push(`"default-gateway" lies outside ${formatPrefix(network)}`);
  }
  const notes: string[] = [];
  const poolPrefix = parsePrefix(pool);
  // dockerd starts with it. Older ones then ignore it.
  if (poolPrefix !== undefined && !overlaps(network, poolPrefix)) {
    notes.push(
      `"fixed-cidr" lies outside ${formatPrefix(network)}: Docker 28 has no address for a container`,
    );
  }
  if (found['iptables'] === false) {
    notes.push('"iptables" is false: Docker publishes no ports and masquerades nothing');
  }
  return { conflicts, notes };
}

/** The conflicts of the file at `path` in one line. */
export function formatConflicts(path: string, { conflicts }: DaemonVerdict): string {
  return `${path}: dockerd does not start with the flags of our options file: ${conflicts.join(', ')}`;
}

export const CONFLICT_REMEDY = 'remove these settings from that file';

/** A line for each conflict and note of the file at `path`. Fails like `readDaemonVerdict`. */
export async function daemonWarnings(path: string, flags: DockerFlags): Promise<readonly string[]> {
  const verdict = await readDaemonVerdict(path, flags);
  const { conflicts, notes } = verdict;
  return [
    ...(conflicts.length === 0 ? [] : [`${formatConflicts(path, verdict)}; ${CONFLICT_REMEDY}`]),
    ...notes.map((note) => `${path}: ${note}`),
  ];
}

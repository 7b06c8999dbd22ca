// Docker's own configuration file, beside the flags that we hand to dockerd. It does not start where one setting is
// given in both places, with equal values too.
import { asTwillError, errnoOf } from '../base/errors.ts';
import { readWholeFile } from '../base/read-file.ts';
import { parseJson } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import { containsAddress, containsPrefix, networkOf, parseIPv4, parsePrefix } from '../model/ip.ts';
import { LIMITS } from './limits.ts';

/** The file that dockerd reads unless its command line says otherwise. */
export const DAEMON_FILE = '/etc/docker/daemon.json';

/** The flags of dockerd for this node's network; undefined: leave a flag out. */
export interface DockerFlags {
  readonly bip: string | undefined;
  /** Whether Docker masquerades: only where the agent does not. */
  readonly ipMasq: boolean | undefined;
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
  const bip = flags.bip === undefined ? undefined : parsePrefix(flags.bip);
  const [bridge, pool, gateway] = [found['bridge'], found['fixed-cidr'], found['default-gateway']].map(
    (value) => (typeof value === 'string' && value !== '' ? value : undefined),
  );
  if (bip !== undefined) {
    if (bridge !== undefined) conflicts.push('"bridge" excludes --bip');
    const network = networkOf(bip);
    const poolPrefix = parsePrefix(pool ?? '');
    if (poolPrefix !== undefined && !containsPrefix(network, poolPrefix))
      conflicts.push(`"fixed-cidr" lies outside --bip=${flags.bip}`);
    const address = parseIPv4(gateway ?? '');
    if (address !== undefined && !containsAddress(network, address))
      conflicts.push(`"default-gateway" lies outside --bip=${flags.bip}`);
  }
  return { conflicts, notes: found['iptables'] === false ? [WITHOUT_RULES] : [] };
}

const WITHOUT_RULES = '"iptables" is false: Docker publishes no ports and masquerades nothing';

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

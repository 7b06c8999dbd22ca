// `twill docker-opts`: flannel's mk-docker-opts.sh, with its options. It turns subnet.env into flags of dockerd.
//
// The script writes even where dockerd would then fail, or would start on a network of its own. This command checks
// first and writes last.
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import { readWholeFile } from '../base/read-file.ts';
import { excerpt } from '../base/schema.ts';
import {
  CONFLICT_REMEDY,
  DAEMON_FILE,
  type DockerFlags,
  formatConflicts,
  readDaemonVerdict,
} from '../handoff/daemon-json.ts';
import { DOCKER_OPTS_MODE, formatDockerOpts } from '../handoff/docker-opts.ts';
import { parseEnvironmentFile } from '../handoff/environment-file.ts';
import { LIMITS } from '../handoff/limits.ts';
import { addressAt, formatPrefix, networkOf, type Prefix, parsePrefix } from '../model/ip.ts';
import type { CommandContext } from './context.ts';

const SUBNET_FILE = '/run/flannel/subnet.env';
const OPTIONS_FILE = '/run/docker_opts.env';

export interface DockerOptsOptions {
  readonly subnetFile: string;
  readonly optionsFile: string;
  readonly individual: boolean;
  readonly combined: boolean;
  readonly key: string;
  readonly ipMasq: boolean;
}

/** Reads the script's options, in the syntax of getopts. Fails as `usage`. */
export function parseDockerOptsOptions(args: readonly string[]): DockerOptsOptions {
  const values = { f: SUBNET_FILE, d: OPTIONS_FILE, k: 'DOCKER_OPTS' };
  const switches = { i: false, c: false, m: false };
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (!/^-[^-]/.test(arg)) throw misuse(`unexpected argument ${excerpt(arg)}`);
    for (let letters = arg.slice(1); letters !== ''; ) {
      const letter = letters.charAt(0);
      letters = letters.slice(1);
      if (letter === 'i' || letter === 'c' || letter === 'm') {
        switches[letter] = true;
      } else if (letter === 'f' || letter === 'd' || letter === 'k') {
        const value = letters === '' ? rest.shift() : letters;
        if (value === undefined || value === '') throw misuse(`-${letter}: needs a value`);
        values[letter] = value;
        letters = '';
      } else {
        throw misuse(`unknown option ${excerpt(`-${letter}`)}`);
      }
    }
  }
  if (!/^[A-Za-z_]\w*$/.test(values.k)) {
    throw misuse(`-k: must be the name of a variable: letters, digits and _, is ${excerpt(values.k)}`);
  }
  const both = !switches.i && !switches.c;
  return {
    subnetFile: values.f,
    optionsFile: values.d,
    individual: switches.i || both,
    combined: switches.c || both,
    key: values.k,
    ipMasq: !switches.m,
  };
}

/** Writes the options file. `daemonFile` is Docker's configuration. */
export async function dockerOptsCommand(
  args: readonly string[],
  context: CommandContext,
  daemonFile = DAEMON_FILE,
): Promise<void> {
  const options = parseDockerOptsOptions(args);
  const { subnetFile, optionsFile, individual, combined, key } = options;
  for (const path of [subnetFile, SUBNET_FILE]) {
    if (await isSameFile(path, optionsFile)) {
      throw misuse(`-d: ${optionsFile} holds this node's subnet, and must be another file`);
    }
  }
  const variables = parseEnvironmentFile(await readText(subnetFile));
  const flags = parseFlags(variables, subnetFile, options.ipMasq);
  const verdict = await readDaemonVerdict(daemonFile, flags);
  if (verdict.conflicts.length > 0) {
    throw new TwillError('host', formatConflicts(daemonFile, verdict), { hint: CONFLICT_REMEDY });
  }
  await refuseForeignRoute(flags.bip);
  const before = variables.get(key) ?? context.environment[key] ?? '';
  const form = { individual, ...(combined ? { combined: { key, before } } : {}) };
  await writeFileAtomic(optionsFile, formatDockerOpts(flags, form), DOCKER_OPTS_MODE);
  await context.print(
    [...verdict.notes.map((note) => `${daemonFile}: ${note}\n`), `wrote ${optionsFile}\n`].join(''),
  );
}

type Variables = ReadonlyMap<string, string>;

// Strict, because dockerd would start on a network of its own without --bip.
function parseFlags(variables: Variables, path: string, withIpMasq: boolean): DockerFlags {
  const refusal = (name: string, rule: string): TwillError => {
    const value = variables.get(name);
    const found = value === undefined ? 'missing' : excerpt(value);
    return new TwillError('host', `${path}: ${name} must be ${rule}, is ${found}`);
  };
  const bip = parsePrefix(variables.get('FLANNEL_SUBNET') ?? '');
  if (bip?.family !== 'ipv4') throw refusal('FLANNEL_SUBNET', 'an IPv4 subnet such as 10.5.34.1/24');
  const mtu = variables.get('FLANNEL_MTU') ?? '';
  if (mtu !== '' && !/^[1-9]\d{1,4}$/.test(mtu)) throw refusal('FLANNEL_MTU', 'a number of bytes');
  const ipMasq = withIpMasq ? (variables.get('FLANNEL_IPMASQ') ?? '') : '';
  if (!['', 'true', 'false'].includes(ipMasq)) throw refusal('FLANNEL_IPMASQ', 'true or false');
  return {
    bip,
    ipMasq: ipMasq === '' ? undefined : ipMasq === 'false',
    mtuBytes: mtu === '' ? undefined : Number(mtu),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return (await readWholeFile(path, { maxBytes: LIMITS.formBytes })).toString();
  } catch (error) {
    throw asTwillError(error, 'host', `cannot read ${path}`, 'the agent writes it when it has a subnet');
  }
}

// By links and other spellings, too. A file that is not there yet has its path alone.
async function isSameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map((path) => stat(path).catch(() => undefined)));
  if (one === undefined || other === undefined) return resolve(a) === resolve(b);
  return one.dev === other.dev && one.ino === other.ino;
}

// Where a gateway leads to our subnet it is another host's, and docker0 would cut this host off from it.
async function refuseForeignRoute(subnet: Prefix): Promise<void> {
  const { createHostChecks } = await import('../kernel/host-checks.ts');
  const [route] = await createHostChecks().routesTowards([addressAt(subnet, 2)]);
  if (route?.via === undefined || route.length !== subnet.length) return;
  throw new TwillError(
    'host',
    `a route leads elsewhere: ${formatPrefix(networkOf(subnet))} via ${route.via} dev ${route.dev}`,
    { hint: 'remove it, or the host that it leads to has this subnet' },
  );
}

function misuse(message: string): TwillError {
  return new TwillError('usage', message, { hint: '`twill help docker-opts` lists the options' });
}

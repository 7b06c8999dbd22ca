// `twill docker network NAME` and `twill podman network NAME`: the command that makes a network of the engine on a part
// of this node's subnet. Peers have a route to the whole subnet, so any division of it works.

import { asTwillError, TwillError } from '../base/errors.ts';
import { exec } from '../base/exec.ts';
import { readWholeFile } from '../base/read-file.ts';
import { excerpt } from '../base/schema.ts';
import { LIMITS as FILE_LIMITS } from '../handoff/limits.ts';
import { parseSubnetEnv } from '../handoff/subnet-env.ts';
import { createHostChecks } from '../kernel/host-checks.ts';
import type { SubnetEnv } from '../model/hand-off.ts';
import type { HostAddress } from '../model/host-checks.ts';
import { isOwnName } from '../model/host-state.ts';
import { addressAt, formatPrefix, networkOf, type Prefix } from '../model/ip.ts';
import { echo } from '../options/flag-values.ts';
import { environmentName } from '../options/flags.ts';
import type { CommandContext } from './context.ts';
import { LIMITS } from './limits.ts';

/** A network of an engine, on a part of this node's subnet. */
export interface EngineNetwork {
  readonly name: string;
  readonly part: Prefix;
  /** The first address of the part. */
  readonly gateway: string;
  readonly mtuBytes: number;
  /** Whether the agent masquerades what leaves the overlay, so that the engine need not. */
  readonly ipMasq: boolean;
}

export interface Engine {
  readonly program: 'docker' | 'podman';
  /** Names that mean something else to the engine. */
  readonly taken: readonly string[];
  /** Whether it makes a network around an address of the overlay's device. */
  readonly toleratesOverlay: boolean;
  /** The arguments that make a network. Each is one word for a shell. */
  readonly create: (network: EngineNetwork) => readonly string[];
}

/** What the operator wants. */
interface Wish {
  readonly name: string;
  readonly place: number;
  readonly count: number;
  readonly isApplied: boolean;
  readonly subnetFile: string;
}

const SUBNET_FILE = '/run/flannel/subnet.env';
const NAME = /^[a-z\d][\w.-]{0,63}$/i;
/** Shortest part: six addresses for a gateway and containers. */
const LONGEST_PREFIX = 29;

/** Prints or runs the command of `engine` for these arguments. */
export async function engineCommand(
  engine: Engine,
  args: readonly string[],
  context: CommandContext,
): Promise<void> {
  const wish = parseWish(engine, args, context.environment);
  const env = await readEnv(wish.subnetFile);
  const network = planNetwork(wish, env);
  const { addresses } = await createHostChecks().addressesIn(network.part);
  refuseOverlap(engine, network, env.subnet, addresses);
  const command = engine.create(network);
  if (wish.isApplied) await apply(engine, command, context);
  // No argument needs quotes: names are restricted, and the rest is made of numbers.
  else await context.print(`${engine.program} ${command.join(' ')}\n`);
}

/** Parses the arguments behind the name of the engine. Fails as `usage`. */
export function parseWish(
  engine: Engine,
  args: readonly string[],
  environment: CommandContext['environment'],
): Wish {
  const operands: string[] = [];
  let part = '1/1';
  let isApplied = false;
  let subnetFile = environment[environmentName('subnet-file')] || SUBNET_FILE;
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    const [, flag, joined] = /^--?([a-z][a-z-]*)(?:=(.*))?$/s.exec(arg) ?? [];
    const value = (): string => {
      const text = joined ?? rest.shift();
      if (text === undefined || text === '') throw misuse(engine, `--${flag}: needs a value`);
      return text;
    };
    if (flag === undefined) operands.push(arg);
    else if (flag === 'part') part = value();
    else if (flag === 'subnet-file') subnetFile = value();
    else if (flag === 'apply' && joined === undefined) isApplied = true;
    else throw misuse(engine, `takes --part, --apply and --subnet-file, not ${echo(arg)}`);
  }
  return { name: parseName(engine, operands), ...parsePart(part), isApplied, subnetFile };
}

function parseName(engine: Engine, [verb, name, ...others]: readonly string[]): string {
  const [other] = others;
  if (verb === undefined) throw misuse(engine, 'needs network and a name');
  if (verb !== 'network') throw misuse(engine, `takes network, not ${echo(verb)}`);
  if (name === undefined) throw misuse(engine, 'needs the name of the network');
  if (other !== undefined) throw misuse(engine, `takes one name, but got also ${echo(other)}`);
  if (!NAME.test(name)) {
    const rule = 'must be 1 to 64 letters, digits, _ . or -, the first one a letter or a digit';
    throw misuse(engine, `the name of a network ${rule}, is ${excerpt(name)}`);
  }
  if (engine.taken.includes(name)) throw misuse(engine, `${excerpt(name)} means something else there`);
  return name;
}

function misuse({ program }: Engine, message: string): TwillError {
  const hint = `write \`twill ${program} network NAME\`, and --part=2/4 for the second quarter of the subnet`;
  return new TwillError('usage', `${program}: ${message}`, { hint });
}

function parsePart(text: string): Pick<Wish, 'place' | 'count'> {
  const [, place, count] = (/^(\d{1,9})\/(\d{1,9})$/.exec(text) ?? []).map(Number);
  const isPart = place !== undefined && count !== undefined && place >= 1 && place <= count;
  if (!isPart || !Number.isInteger(Math.log2(count))) {
    throw new TwillError(
      'usage',
      `--part: must be I/N, N a power of two and I from 1 to N, such as 2/4, is ${excerpt(text)}`,
    );
  }
  return { place, count };
}

async function readEnv(path: string): Promise<SubnetEnv> {
  const hint = 'start the agent first: it writes that file when this node has its subnet';
  let text: string;
  try {
    text = (await readWholeFile(path, { maxBytes: FILE_LIMITS.formBytes })).toString();
  } catch (error) {
    const { message, errno } = asTwillError(error, 'host', `cannot read ${path}`);
    throw new TwillError('host', message, errno === 'ENOENT' ? { hint } : {});
  }
  const { network, subnet, mtuBytes, ipMasq } = parseSubnetEnv(text);
  if (network === undefined || subnet === undefined || mtuBytes === undefined || ipMasq === undefined) {
    throw new TwillError(
      'host',
      `${path}: must have FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU and FLANNEL_IPMASQ`,
      { hint },
    );
  }
  return { network, subnet, mtuBytes, ipMasq };
}

/** The network on the wanted part. Fails as `usage` when that is too small. */
export function planNetwork(
  { name, place, count }: Pick<Wish, 'name' | 'place' | 'count'>,
  { subnet, mtuBytes, ipMasq }: Omit<SubnetEnv, 'network'>,
): EngineNetwork {
  const length = subnet.length + Math.log2(count);
  if (length > LONGEST_PREFIX) {
    const most = 2 ** Math.max(0, LONGEST_PREFIX - subnet.length);
    throw new TwillError(
      'usage',
      `--part: a part of ${formatPrefix(subnet)} must have 8 addresses at least, so N is ${most} at most, is ${count}`,
    );
  }
  const first = addressAt(subnet, (place - 1) * 2 ** (32 - length));
  const part: Prefix = { family: 'ipv4', address: first, length };
  return { name, part, gateway: addressAt(part, 1), mtuBytes, ipMasq };
}

/** Fails as `host` when a link of this host has addresses of the part. */
export function refuseOverlap(
  { program, toleratesOverlay }: Engine,
  { part }: EngineNetwork,
  subnet: Prefix,
  addresses: readonly Pick<HostAddress, 'dev' | 'prefix'>[],
): void {
  const other = addresses.find(({ dev }) => !isOwnName(dev));
  if (other !== undefined) {
    const { dev, prefix } = other;
    throw new TwillError('host', `${dev} has ${formatPrefix(prefix)}, which overlaps ${formatPrefix(part)}`, {
      hint: hintFor(dev, part, subnet),
    });
  }
  // Our own device has the first address of the subnet, which no engine gives to a container.
  const [own] = addresses;
  if (own === undefined || toleratesOverlay) return;
  const what = `${program} makes no network around an address of this host, and ${own.dev} has ${own.prefix.address}`;
  throw new TwillError('host', what, {
    hint: 'take a part behind it, such as --part=2/2, or let the agent make the network: --podman-network-file',
  });
}

function hintFor(dev: string, part: Prefix, subnet: Prefix): string {
  if (part.length === subnet.length) return `take a part that ${dev} does not have, such as --part=2/2`;
  if (dev !== 'docker0') return 'take another part';
  const half: Prefix = { ...networkOf(subnet), length: subnet.length + 1 };
  const isFirst = networkOf({ ...part, length: half.length }).address === half.address;
  const free = isFirst ? addressAt(subnet, 2 ** (32 - half.length) + 1) : addressAt(subnet, 1);
  return `take another part, or start dockerd with --bip=${free}/${half.length}`;
}

async function apply(
  { program }: Engine,
  command: readonly string[],
  context: CommandContext,
): Promise<void> {
  const { exitCode, stderr } = await exec(program, command, {
    env: environmentOf(context.environment),
    timeoutMs: LIMITS.engineMs,
    signal: context.signal,
  });
  if (exitCode !== 0) {
    const why = stderr
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^Error(?: response from daemon)?: /, '');
    throw new TwillError(
      'host',
      `${program} ${command.join(' ')}: ${why === '' || why === undefined ? `exit code ${exitCode}` : why}`,
    );
  }
  await context.print(`made network ${command.at(-1)}\n`);
}

// The program finds its daemon, its storage and its settings by them.
const OF_ENGINES = /^(?:HOME|XDG_RUNTIME_DIR|DOCKER_\w+|CONTAINERS?_\w+)$/;

function environmentOf(environment: CommandContext['environment']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => OF_ENGINES.test(name)));
}

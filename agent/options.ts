// Turns the values of flags into the options of the agent, and checks them. Every refusal is one line that starts with
// the flag or the environment variable of the value.
import { TwillError } from './base/errors.ts';
import { isJournal } from './base/journal.ts';
import type { LogOptions } from './base/log.ts';
import { excerpt } from './base/schema.ts';
import type { DatastoreOptions } from './model/datastore-options.ts';
import type { HandOffOptions } from './model/hand-off.ts';
import { isHostAddress, parseAddress, parseIPv4 } from './model/ip.ts';
import type { NodeOptions } from './model/node-options.ts';
import { readKvOptions } from './options/datastore-flags.ts';
import { type CommandLine, type FlagValues, readFlagValues } from './options/flag-values.ts';
import type { FlagName } from './options/flags.ts';
import { readHandOffOptions } from './options/hand-off-flags.ts';
import { type InterfaceRegex, parseInterfaceRegex } from './options/interface-regex.ts';
import { readKubernetesOptions } from './options/kubernetes-flags.ts';
import { statusPlace } from './options/status-flags.ts';

export interface AgentOptions extends NodeOptions {
  readonly datastore: DatastoreOptions;
  /** Names or addresses of the underlay interface, in order of preference. Empty: use the default route's. */
  readonly iface: readonly string[];
  /** Regular expressions on addresses, then on names. Tried after `iface`. */
  readonly ifaceRegex: readonly InterfaceRegex[];
  /** An address: use the interface of the route to it. */
  readonly ifaceCanReach: string | undefined;
  /** The address announced to peers; undefined: the underlay's address. */
  readonly publicIP: string | undefined;
  readonly subnetFile: string;
  readonly handOff: HandOffOptions;
  /** A lease is renewed when this many minutes of it are left, 1 to 1439. */
  readonly renewMarginMinutes: number;
  /** An address, a host name, or empty for all addresses. Undefined: no HTTP server. */
  readonly healthz: { readonly ip: string; readonly port: number } | undefined;
  /** The socket of `twill status`; undefined: none. */
  readonly statusSocket: string | undefined;
  /** `plan`: print the changes that the kernel still needs. */
  readonly diff: boolean;
  readonly log: LogOptions;
}

/** Reads the options from a command line and an environment. Fails as `usage`. */
export async function readAgentOptions(
  commandLine: CommandLine,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<AgentOptions> {
  const values = readFlagValues(commandLine, environment);
  refuseUnsupported(values);
  const healthzPort = values.int('healthz-port');
  const healthzIP = readHealthzIP(values);
  return {
    datastore: readKubernetesOptions(values, environment) ?? (await readKvOptions(values)),
    iface: values.list('iface'),
    ifaceRegex: await Promise.all(
      values.list('iface-regex').map((source) => parseInterfaceRegex(source, values.source('iface-regex'))),
    ),
    ifaceCanReach: readIPv4(values, 'iface-can-reach'),
    publicIP: readPublicIP(values),
    subnetFile: readSubnetFile(values),
    handOff: readHandOffOptions(values),
    renewMarginMinutes: values.int('subnet-lease-renew-margin'),
    ipMasq: values.bool('ip-masq'),
    randomFully: !values.bool('ip-masq-fully-random-disable'),
    forwardRules: values.bool('iptables-forward-rules'),
    tunnelFilter: readSwitch(values, 'tunnel-filter'),
    ipForward: readSwitch(values, 'ip-forward'),
    dockerDirect: readSwitch(values, 'docker-direct'),
    blackholeRoute: values.bool('ip-blackhole-route'),
    firewallResyncSeconds: values.int('iptables-resync'),
    healthz: healthzPort === 0 ? undefined : { ip: healthzIP, port: healthzPort },
    statusSocket: statusPlace(
      values.text('status-socket'),
      readSubnetFile(values),
      values.source('status-socket'),
    ),
    diff: values.bool('diff'),
    log: readLogOptions(values, environment),
  };
}

/**
 * How the log is written: `-v` above 0 asks for the full log, and lines for systemd's journal have its form. Fails as
 * `usage`.
 */
export function readLogOptions(
  values: FlagValues,
  environment: Readonly<Record<string, string | undefined>>,
): LogOptions {
  const level = values.int('v') > 0 ? 'debug' : 'info';
  const format = values.text('log-format');
  if (format === 'json') return { level, format };
  if (format !== 'text') throw refuse(values, 'log-format', 'must be text or json', format);
  return { level, format: isJournal(environment['JOURNAL_STREAM']) ? 'journal' : 'text' };
}

// Refuses a flag that we cannot honour.
function refuseUnsupported(values: FlagValues): void {
  if (values.text('public-ipv6') !== '') {
    throw new TwillError('usage', `${values.source('public-ipv6')}: IPv6 is not supported yet`);
  }
}

function readIPv4(values: FlagValues, name: FlagName<'string'>): string | undefined {
  const text = values.text(name);
  if (text === '') return undefined;
  const address = parseIPv4(text);
  if (address === undefined) throw refuse(values, name, 'must be an IPv4 address such as 192.168.77.1', text);
  return address;
}

// Empty means all addresses. A name needs a letter in its last part, so that 10.0.0.300 is none.
function readHealthzIP(values: FlagValues): string {
  const text = values.text('healthz-ip');
  const isName = /^(?:[a-z\d_-]+\.)*[a-z\d_-]*[a-z][a-z\d_-]*\.?$/i.test(text);
  if (text !== '' && !isName && parseAddress(text) === undefined) {
    throw refuse(values, 'healthz-ip', 'must be an IP address or a host name', text);
  }
  return parseAddress(text)?.address ?? text;
}

function readPublicIP(values: FlagValues): string | undefined {
  const address = readIPv4(values, 'public-ip');
  if (address === undefined || isHostAddress(address)) return address;
  throw refuse(values, 'public-ip', 'must be an address that other hosts can reach', address);
}

function readSwitch(values: FlagValues, name: FlagName<'string'>): boolean {
  const text = values.text(name);
  if (text !== 'auto' && text !== 'off') throw refuse(values, name, 'must be auto or off', text);
  return text === 'auto';
}

function readSubnetFile(values: FlagValues): string {
  const path = values.text('subnet-file');
  if (path === '' || path.endsWith('/'))
    throw refuse(values, 'subnet-file', 'must be the path of a file', path);
  return path;
}

function refuse(values: FlagValues, name: FlagName, what: string, value: string): TwillError {
  return new TwillError('usage', `${values.source(name)}: ${what}, is ${excerpt(value)}`);
}

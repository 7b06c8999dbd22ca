// Turns the values of flags into the options of the agent, and checks them. Every refusal is one line that starts with
// the flag or the environment variable of the value.
import { TwillError } from './base/errors.ts';
import type { LogLevel } from './base/log.ts';
import { excerpt } from './base/schema.ts';
import type { DatastoreOptions } from './model/datastore-options.ts';
import { parseAddress } from './model/ip.ts';
import type { NodeOptions } from './model/node-options.ts';
import { readDatastoreOptions } from './options/datastore-flags.ts';
import { type CommandLine, type FlagValues, readFlagValues } from './options/flag-values.ts';
import { FLAGS, type FlagName } from './options/flags.ts';
import { type InterfaceRegex, parseInterfaceRegex } from './options/interface-regex.ts';

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
  /** A lease is renewed when this many minutes of it are left, 1 to 1439. */
  readonly renewMarginMinutes: number;
  /** Undefined: no HTTP server. */
  readonly healthz: { readonly ip: string; readonly port: number } | undefined;
  readonly logLevel: LogLevel;
}

/** Reads the options from a command line and an environment. Fails as `usage`. */
export async function readAgentOptions(
  commandLine: CommandLine,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<AgentOptions> {
  const values = readFlagValues(commandLine, environment);
  refuseUnsupported(values);
  const healthzPort = values.int('healthz-port');
  const healthzIP = readAddress(values, 'healthz-ip', ['ipv4', 'ipv6']) ?? '0.0.0.0';
  return {
    datastore: readDatastoreOptions(values),
    iface: values.list('iface'),
    ifaceRegex: await Promise.all(
      values.list('iface-regex').map((source) => parseInterfaceRegex(source, values.source('iface-regex'))),
    ),
    ifaceCanReach: readAddress(values, 'iface-can-reach', ['ipv4']),
    publicIP: readAddress(values, 'public-ip', ['ipv4']),
    subnetFile: readSubnetFile(values),
    renewMarginMinutes: values.int('subnet-lease-renew-margin'),
    ipMasq: values.bool('ip-masq'),
    randomFully: !values.bool('ip-masq-fully-random-disable'),
    forwardRules: values.bool('iptables-forward-rules'),
    blackholeRoute: values.bool('ip-blackhole-route'),
    firewallResyncSeconds: values.int('iptables-resync'),
    healthz: healthzPort === 0 ? undefined : { ip: healthzIP, port: healthzPort },
    logLevel: readLogLevel(values),
  };
}

/** The level of the log: `-v` above 0 asks for the full log. */
export function readLogLevel(values: FlagValues): LogLevel {
  return values.int('v') > 0 ? 'debug' : 'info';
}

// Refuses a flag that we cannot honour, unless it has its default value.
function refuseUnsupported(values: FlagValues): void {
  if (values.text('public-ipv6') !== '') {
    throw new TwillError('usage', `${values.source('public-ipv6')}: IPv6 is not supported yet`);
  }
  for (const flag of FLAGS) {
    if (flag.group === 'kubernetes' && !values.isDefault(flag.name)) {
      throw new TwillError(
        'usage',
        `${values.source(flag.name)}: this version has no Kubernetes subnet manager yet`,
        { hint: 'leave it out and give a datastore with --etcd-endpoints or --store' },
      );
    }
  }
}

function readAddress(
  values: FlagValues,
  name: FlagName<'string'>,
  families: readonly ('ipv4' | 'ipv6')[],
): string | undefined {
  const text = values.text(name);
  if (text === '') return undefined;
  const parsed = parseAddress(text);
  if (parsed === undefined || !families.includes(parsed.family)) {
    const kind = families.includes('ipv6') ? 'an IP address' : 'an IPv4 address such as 192.168.77.1';
    throw refuse(values, name, `must be ${kind}`, text);
  }
  return parsed.address;
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

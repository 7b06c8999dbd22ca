// The network configuration that all nodes share, in flannel's form: names are case-insensitive, and missing fields
// have flannel's defaults. So have fields with Go's zero values (0, "", 0.0.0.0, null), which a program in Go writes.

import { TwillError } from '../base/errors.ts';
import { excerpt, type JsonValue, parseJson, parseWith, withKnownNames } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import {
  addressAt,
  addressBits,
  addressFromBits,
  containsPrefix,
  formatPrefix,
  networkOf,
  noHostsIn,
  type Prefix,
  parseIPv4,
  parsePrefix,
} from './ip.ts';
import { NETWORK_CONFIG_BYTES } from './limits.ts';

/** A backend and its options, not yet checked: their form is the backend's. */
export interface BackendConfig {
  /** In lower case. */
  readonly type: string;
  /** All fields of `Backend` but `Type`. */
  readonly options: Readonly<Record<string, JsonValue>>;
}

export interface NetworkConfig {
  /** The whole overlay, host bits cleared. */
  readonly network: Prefix;
  /** Length of each node's subnet. */
  readonly subnetLength: number;
  /** The first subnet that may be leased. */
  readonly subnetMin: Prefix;
  /** The last subnet that may be leased. */
  readonly subnetMax: Prefix;
  readonly enableNFTables: boolean;
  readonly backend: BackendConfig;
  /** Whether `backend` was left out and is our default. */
  readonly backendIsDefault: boolean;
}

/** Stands for the text of a configuration that is so large that no store reads it. It is no JSON. */
export const OVERSIZED_CONFIG: string = 'oversized';

const ZERO_ADDRESS = '0.0.0.0';

const boolean = v.boolean('must be true or false');
const integer = v.pipe(v.number('must be a number'), v.integer('must be a whole number'));
const text = v.string('must be a string');
const ADDRESS = 'must be an IPv4 address such as 10.5.1.0';
const address4 = v.pipe(
  v.string(ADDRESS),
  v.check((value) => value === '' || parseIPv4(value) !== undefined, ADDRESS),
  v.transform((value) => withoutZero(parseIPv4(value))),
);

const NETWORK = 'must be an IPv4 prefix such as 10.5.0.0/16';
const TYPE = 'must be the name of a backend';

// The message of an object is also that of a missing field; only these two fields have to be there.
const schema = v.object(
  {
    Network: v.pipe(
      v.string(NETWORK),
      v.check((value) => isNetwork(parsePrefix(value)), NETWORK),
    ),
    EnableIPv4: v.optional(boolean, true),
    EnableIPv6: v.optional(boolean, false),
    EnableNFTables: v.optional(boolean, false),
    IPv6Network: v.optional(text),
    SubnetLen: v.optional(integer),
    SubnetMin: v.optional(address4),
    SubnetMax: v.optional(address4),
    Backend: v.optional(
      v.looseObject({ Type: v.pipe(v.string(TYPE), v.nonEmpty(TYPE)) }, (issue) =>
        issue.expected === 'Object' ? 'must be an object with a Type' : TYPE,
      ),
    ),
  },
  NETWORK,
);

// flannel takes 0.0.0.0/0, the zero value, for a missing Network.
function isNetwork(prefix: Prefix | undefined): boolean {
  return prefix?.family === 'ipv4' && !(prefix.length === 0 && prefix.address === ZERO_ADDRESS);
}

function withoutZero(address: string | undefined): string | undefined {
  return address === ZERO_ADDRESS ? undefined : address;
}

// For valibot a list is an object too.
const OBJECT = 'must be a JSON object';
const jsonObject = v.pipe(
  v.unknown(),
  v.check((value) => !Array.isArray(value), OBJECT),
  v.looseObject({}, OBJECT),
);

const KNOWN = Object.keys(schema.entries);

/** Parses the text of a network configuration. Fails as `config`, in one line that starts with `where`. */
export function parseNetworkConfig(jsonText: string, where: string): NetworkConfig {
  if (jsonText === OVERSIZED_CONFIG || Buffer.byteLength(jsonText) > NETWORK_CONFIG_BYTES)
    throw tooLong(where);
  const raw = withKnownNames(parseJson(jsonObject, jsonText, where), KNOWN);
  const named = raw as Record<string, unknown>;
  const refuse = (field: string, why: string, value: unknown): never => {
    throw new TwillError('config', `${where}: ${field}: ${why}, is ${excerpt(value)}`);
  };
  // First of all: a network of IPv6 alone has no Network.
  if (named['EnableIPv4'] === false)
    refuse('EnableIPv4', 'must be true: this version carries IPv4 only', false);
  if (named['EnableIPv6'] === true)
    refuse('EnableIPv6', 'must be false: this version carries IPv4 only', true);
  const config = parseWith(schema, { ...named, Backend: withoutEmptyType(named['Backend']) }, where);

  const network = networkOf(parsePrefix(config.Network) as Prefix);
  const unusable = noHostsIn(network);
  if (unusable !== undefined)
    refuse('Network', `overlaps ${formatPrefix(unusable)}, whose addresses no host can have`, config.Network);
  if (network.length > 28) refuse('Network', 'must be a /28 or larger', config.Network);
  const subnetLength = config.SubnetLen || (network.length < 22 ? 24 : network.length + 2);
  if (subnetLength > 30 || subnetLength < network.length + 2) {
    refuse('SubnetLen', `must be from ${network.length + 2} (Network's length + 2) to 30`, subnetLength);
  }
  const size = 2 ** (32 - subnetLength);
  const total = 2 ** (subnetLength - network.length);
  const boundary = (field: 'SubnetMin' | 'SubnetMax', value: string | undefined, index: number): Prefix => {
    const subnet: Prefix = {
      family: 'ipv4',
      address: value ?? addressAt(network, index * size),
      length: subnetLength,
    };
    const range = `${addressAt(network, 0)} to ${addressAt(network, (total - 1) * size)}`;
    if (!containsPrefix(network, subnet))
      refuse(field, `must be inside Network ${formatPrefix(network)} (${range})`, value);
    if (networkOf(subnet).address !== subnet.address)
      refuse(field, `must be the first address of a /${subnetLength}`, value);
    return subnet;
  };
  const subnetMin = boundary('SubnetMin', config.SubnetMin, 1);
  const subnetMax = boundary('SubnetMax', config.SubnetMax, total - 1);
  if (addressBits(subnetMin.address) > addressBits(subnetMax.address)) {
    refuse('SubnetMin', `must not be after SubnetMax ${subnetMax.address}`, subnetMin.address);
  }
  const { Type, ...options } = config.Backend ?? { Type: 'vxlan' };
  return {
    network,
    subnetLength,
    subnetMin,
    subnetMax,
    enableNFTables: config.EnableNFTables,
    backend: { type: Type.toLowerCase(), options: options as Readonly<Record<string, JsonValue>> },
    backendIsDefault: config.Backend === undefined,
  };
}

/** The error for a configuration of more than `NETWORK_CONFIG_BYTES`. */
export function tooLong(where: string): TwillError {
  return new TwillError('config', `${where}: longer than ${NETWORK_CONFIG_BYTES} bytes`);
}

// A backend with nothing in it is none. Options without a type have no meaning, so those are refused.
function withoutEmptyType(backend: unknown): unknown {
  const named = withKnownNames(backend, ['Type']);
  if (named === null || typeof named !== 'object' || Array.isArray(named)) return named ?? undefined;
  const { Type, ...options } = named as { readonly Type?: unknown };
  if (Type !== undefined && Type !== '') return named;
  return Object.keys(options).length === 0 ? undefined : options;
}

/** The number of subnets that may be leased. */
export function subnetCount(config: NetworkConfig): number {
  const size = 1n << BigInt(32 - config.subnetLength);
  return Number((addressBits(config.subnetMax.address) - addressBits(config.subnetMin.address)) / size) + 1;
}

/** The `index`-th subnet that may be leased, from 0. */
export function subnetAt(config: NetworkConfig, index: number): Prefix {
  const size = 1n << BigInt(32 - config.subnetLength);
  return {
    family: 'ipv4',
    address: addressFromBits('ipv4', addressBits(config.subnetMin.address) + BigInt(index) * size),
    length: config.subnetLength,
  };
}

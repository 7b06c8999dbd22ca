// The backends by name. Each is loaded only where it is used.
import { TwillError } from '../agent/base/errors.ts';
import { excerpt } from '../agent/base/schema.ts';
import type { Backend } from '../agent/model/backend.ts';
import { containsPrefix } from '../agent/model/ip.ts';
import type { Lease } from '../agent/model/lease.ts';
import { type BackendConfig, type NetworkConfig, parseNetworkConfig } from '../agent/model/network-config.ts';

type Options = BackendConfig['options'];

interface Entry {
  readonly parse: (options: Options, where: string) => Promise<object>;
  readonly create: (options: Options, where: string) => Promise<Backend>;
}

// Two loaders, so that checking options does not load the backend itself.
function entry<O extends object>(
  loadParse: () => Promise<(options: Options, where: string) => O>,
  loadCreate: () => Promise<(options: O) => Backend>,
): Entry {
  return {
    parse: async (options, where) => (await loadParse())(options, where),
    async create(options, where) {
      const [parse, create] = await Promise.all([loadParse(), loadCreate()]);
      return create(parse(options, where));
    },
  };
}

const BACKENDS: Readonly<Record<string, Entry>> = {
  alloc: entry(
    async () => (await import('./alloc/options.ts')).parseAllocOptions,
    async () => (await import('./alloc/alloc.ts')).createAlloc,
  ),
  'host-gw': entry(
    async () => (await import('./host-gw/options.ts')).parseHostGwOptions,
    async () => (await import('./host-gw/host-gw.ts')).createHostGw,
  ),
  udp: entry(
    async () => (await import('./udp/options.ts')).parseUdpOptions,
    async () => (await import('./udp/udp.ts')).createUdp,
  ),
  vxlan: entry(
    async () => (await import('./vxlan/options.ts')).parseVxlanOptions,
    async () => (await import('./vxlan/vxlan.ts')).createVxlan,
  ),
};

// flannel's backends that this version does not have.
const MISSING: readonly string[] = ['wireguard', 'ipip', 'extension'];

/** Names of the backends, sorted. */
export const BACKEND_NAMES: readonly string[] = Object.keys(BACKENDS).sort();

/** Creates the backend that `config` names. Fails as `config`, in one line that starts with `where`. */
export async function createBackend(config: BackendConfig, where: string): Promise<Backend> {
  return find(config, where).create(config.options, `${where}: Backend`);
}

/** The options of the backend that `config` names, checked without loading that backend. Fails like `createBackend`. */
export async function parseOptions(config: BackendConfig, where: string): Promise<object> {
  return find(config, where).parse(config.options, `${where}: Backend`);
}

/** A network configuration and the backend of its nodes. */
export interface Network {
  /** Names the backend even where the text names none. */
  readonly config: NetworkConfig;
  readonly backend: Backend;
  /** Why it is this backend, where the text names none. */
  readonly why: string | undefined;
}

/**
 * A network configuration and its backend. Where the text names none, the `leases` that are there decide. Fails as
 * `config`, in one line that starts with `where`.
 */
export async function readNetwork(text: string, where: string, leases: Iterable<Lease>): Promise<Network> {
  const parsed = parseNetworkConfig(text, where);
  if (!parsed.backendIsDefault) {
    return { config: parsed, backend: await createBackend(parsed.backend, where), why: undefined };
  }
  const { type, why } = followLeases(parsed, leases);
  const config = { ...parsed, backend: { type, options: {} } };
  return { config, backend: await createBackend(config.backend, where), why };
}

// Where the configuration names no backend, flannel's code takes udp, and its documents say vxlan. A node that follows
// the leases reaches the other nodes. flannel's own leases come first: flannel cannot follow ours.
function followLeases(
  { network, backend }: NetworkConfig,
  leases: Iterable<Lease>,
): { readonly type: string; readonly why: string } {
  const [theirs, ours] = [new Set<string>(), new Set<string>()];
  for (const { subnets, attrs, session } of leases) {
    if (subnets.ipv4 === undefined || !containsPrefix(network, subnets.ipv4)) continue;
    // An operator wrote this reservation, and no node has taken it up.
    if (session === undefined && attrs.node === undefined) continue;
    (attrs.node === undefined ? theirs : ours).add(attrs.backendType);
  }
  const types = [...(theirs.size > 0 ? theirs : ours)].sort();
  const [type] = types;
  if (type === undefined) return { type: backend.type, why: 'no lease names one' };
  if (types.length === 1 && Object.hasOwn(BACKENDS, type))
    return { type, why: 'as the leases of other nodes' };
  return { type: backend.type, why: `the leases of other nodes have ${excerpt(types.join(', '))}` };
}

function find({ type }: BackendConfig, where: string): Entry {
  const found = Object.hasOwn(BACKENDS, type) ? BACKENDS[type] : undefined;
  if (found !== undefined) return found;
  const missing = MISSING.includes(type) ? `${type} is not supported yet: ` : '';
  throw new TwillError(
    'config',
    `${where}: Backend.Type: ${missing}must be one of ${BACKEND_NAMES.join(', ')}, is ${excerpt(type)}`,
  );
}

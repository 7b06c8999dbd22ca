// The backends by name. Each is loaded only where it is used.
import { TwillError } from '../agent/base/errors.ts';
import { excerpt } from '../agent/base/schema.ts';
import type { Backend } from '../agent/model/backend.ts';
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

/** A network configuration and the backend that it names. Fails as `config`, in one line that starts with `where`. */
export async function readNetwork(
  text: string,
  where: string,
): Promise<{ readonly config: NetworkConfig; readonly backend: Backend }> {
  const config = parseNetworkConfig(text, where);
  return { config, backend: await createBackend(config.backend, where) };
}

function find({ type }: BackendConfig, where: string): Entry {
  const found = Object.hasOwn(BACKENDS, type) ? BACKENDS[type] : undefined;
  if (found !== undefined) return found;
  throw new TwillError(
    'config',
    `${where}: Backend.Type: must be one of ${BACKEND_NAMES.join(', ')}, is ${excerpt(type)}`,
  );
}

// The backends by name. Each is loaded only when it is the one in use.
import { TwillError } from '../agent/base/errors.ts';
import { excerpt } from '../agent/base/schema.ts';
import type { Backend } from '../agent/model/backend.ts';
import type { BackendConfig } from '../agent/model/network-config.ts';

type Create = (options: BackendConfig['options'], where: string) => Promise<Backend>;

const BACKENDS: Readonly<Record<string, Create>> = {
  alloc: async (options, where) => {
    const [{ createAlloc }, { parseAllocOptions }] = await Promise.all([
      import('./alloc/alloc.ts'),
      import('./alloc/options.ts'),
    ]);
    return createAlloc(parseAllocOptions(options, where));
  },
  'host-gw': async (options, where) => {
    const [{ createHostGw }, { parseHostGwOptions }] = await Promise.all([
      import('./host-gw/host-gw.ts'),
      import('./host-gw/options.ts'),
    ]);
    return createHostGw(parseHostGwOptions(options, where));
  },
  udp: async (options, where) => {
    const [{ createUdp }, { parseUdpOptions }] = await Promise.all([
      import('./udp/udp.ts'),
      import('./udp/options.ts'),
    ]);
    return createUdp(parseUdpOptions(options, where));
  },
  vxlan: async (options, where) => {
    const [{ createVxlan }, { parseVxlanOptions }] = await Promise.all([
      import('./vxlan/vxlan.ts'),
      import('./vxlan/options.ts'),
    ]);
    return createVxlan(parseVxlanOptions(options, where));
  },
};

/** Names of the backends, sorted. */
export const BACKEND_NAMES: readonly string[] = Object.keys(BACKENDS).sort();

/** Makes the backend that the network configuration names. Fails as `config`, in one line that starts with `where`. */
export async function createBackend(config: BackendConfig, where: string): Promise<Backend> {
  const create = Object.hasOwn(BACKENDS, config.type) ? BACKENDS[config.type] : undefined;
  if (create === undefined) {
    throw new TwillError(
      'config',
      `${where}: Backend.Type: must be one of ${BACKEND_NAMES.join(', ')}, is ${excerpt(config.type)}`,
    );
  }
  return create(config.options, `${where}: Backend`);
}

// A host that forwards all packets and has no address or route that stops any.
import type { HostChecks } from '../../agent/model/host-checks.ts';

export const OPEN_HOST: HostChecks = {
  closedLinks: async () => [],
  open: async () => undefined,
  addressesIn: async () => ({ addresses: [], seen: 0 }),
  watchAddressesIn: (_network, _onChange, signal) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    }),
  routesTowards: async (addresses) => addresses.map(() => undefined),
};

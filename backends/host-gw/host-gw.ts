// host-gw: the peer itself is the gateway to its subnet. No encapsulation and no MTU lost, but all hosts must
// share a link: a peer behind a router is refused by the kernel as a gateway, and reported so.
import { remember } from '../../agent/base/remember.ts';
import type { Backend } from '../../agent/model/backend.ts';
import type { HostFacts } from '../../agent/model/host-facts.ts';
import type { Route } from '../../agent/model/host-state.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { Lease } from '../../agent/model/lease.ts';
import type { HostGwOptions } from './options.ts';

const TYPE = 'host-gw';

export function createHostGw(_options: HostGwOptions): Backend {
  // As long as the host is the same, so are the routes of leases that stay.
  const routeTo = remember(
    ({ underlay }: HostFacts, { subnet, attrs }: Lease): Route => ({
      kind: 'route',
      type: 'unicast',
      dst: formatPrefix(subnet),
      via: attrs.publicIP,
      dev: underlay.name,
      onlink: false,
    }),
  );
  return {
    type: TYPE,
    announce: () => undefined,
    mtuBytes: ({ underlay }) => underlay.mtuBytes,
    plan: ({ host, peers }) =>
      peers.filter(({ attrs }) => attrs.backendType === TYPE).map((peer) => routeTo(host, peer)),
  };
}

// host-gw: the peer itself is the gateway to its subnet. No encapsulation and no MTU lost, but all hosts must
// share a link: a peer behind a router is refused by the kernel as a gateway, and reported so.
import type { Backend } from '../../agent/model/backend.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { HostGwOptions } from './options.ts';

const TYPE = 'host-gw';

export function createHostGw(_options: HostGwOptions): Backend {
  return {
    type: TYPE,
    announce: () => undefined,
    mtuBytes: ({ underlay }) => underlay.mtuBytes,
    plan: ({ host, peers }) =>
      peers
        .filter(({ attrs }) => attrs.backendType === TYPE)
        .map(({ subnet, attrs }) => ({
          kind: 'route',
          type: 'unicast',
          dst: formatPrefix(subnet),
          via: attrs.publicIP,
          dev: host.underlay.name,
          onlink: false,
        })),
  };
}

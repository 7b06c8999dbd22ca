// host-gw: the peer itself is the gateway to its subnet. No encapsulation and no MTU lost, but all hosts must
// share a link: a peer behind a router is refused by the kernel as a gateway, and reported so.
import type { Backend } from '../../agent/model/backend.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { HostGwOptions } from './options.ts';

export function createHostGw(_options: HostGwOptions): Backend {
  return {
    type: 'host-gw',
    announce: () => undefined,
    mtuBytes: (underlay) => underlay.mtuBytes,
    own: () => [],
    peer: ({ underlay }, { subnet, publicIP }) => [
      {
        kind: 'route',
        type: 'unicast',
        dst: formatPrefix(subnet),
        via: publicIP,
        dev: underlay.name,
        onlink: false,
      },
    ],
  };
}

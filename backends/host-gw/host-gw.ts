// host-gw: the peer itself is the gateway to its subnet. No encapsulation and no MTU lost, but all hosts must
// share a link: a peer behind a router is refused by the kernel as a gateway, and reported so. Where our address is on
// lo, a peer is reached by the link whose network has the peer's address.
import type { Backend } from '../../agent/model/backend.ts';
import { linkTo } from '../../agent/model/host-facts.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { HostGwOptions } from './options.ts';

export function createHostGw(_options: HostGwOptions): Backend {
  return {
    type: 'host-gw',
    announce: () => undefined,
    mtuBytes: (underlay) => underlay.mtuBytes,
    own: () => [],
    peer: ({ underlay, end }, { subnet, publicIP }) => [
      {
        kind: 'route',
        type: 'unicast',
        dst: formatPrefix(subnet),
        via: publicIP,
        dev: (underlay.carriesPackets ? undefined : linkTo(end, publicIP)) ?? underlay.name,
        onlink: false,
      },
    ],
  };
}

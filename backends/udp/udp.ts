// udp: packets travel as the payload of UDP datagrams, moved by this process through a TUN device. For hosts whose
// kernel or network lets nothing else pass. The plan is small; the work is the forwarder's.
import type { Backend } from '../../agent/model/backend.ts';
import type { UnderlayLink } from '../../agent/model/host-facts.ts';
import type { HostObject } from '../../agent/model/host-state.ts';
import { formatPrefix, hostPrefix } from '../../agent/model/ip.ts';
import { TUN_NAME } from '../../agent/model/kinds/tun-link.ts';
import { openUdpDataPlane } from './data-plane.ts';
import { LIMITS } from './limits.ts';
import type { UdpOptions } from './options.ts';

/** IPv4 20, UDP 8; the inner packet is the payload, without a header of our own. */
const OVERHEAD_BYTES = 28;

export function createUdp(options: UdpOptions): Backend {
  const mtuBytes = (underlay: UnderlayLink): number => underlay.mtuBytes - OVERHEAD_BYTES;
  return {
    type: 'udp',
    maxPeers: LIMITS.peers,
    tunnel: { port: options.port, device: undefined },
    announce: () => undefined,
    mtuBytes,
    own: (underlay, planes) => [
      { kind: 'link', type: 'tun', name: TUN_NAME, mtuBytes: mtuBytes(underlay), up: true },
      ...planes.map(
        ({ subnet }): HostObject => ({
          kind: 'addr',
          prefix: formatPrefix(hostPrefix(subnet.address)),
          dev: TUN_NAME,
        }),
      ),
    ],
    // One route for the whole network would do, as in flannel: the forwarder knows the peers. But a network such as
    // 10.0.0.0/8 often covers the underlay's other segments and the datastore, and would take their packets.
    peer: (_plane, { subnet }) => [
      {
        kind: 'route',
        type: 'unicast',
        dst: formatPrefix(subnet),
        via: undefined,
        dev: TUN_NAME,
        onlink: false,
      },
    ],
    openDataPlane: (input, deps) => openUdpDataPlane({ device: TUN_NAME, port: options.port }, input, deps),
  };
}

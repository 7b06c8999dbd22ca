// udp: packets travel as the payload of UDP datagrams, moved by this process through a TUN device. For hosts whose
// kernel or network lets nothing else pass. The plan is small; the work is the forwarder's.
import type { Backend } from '../../agent/model/backend.ts';
import { formatPrefix, hostPrefix } from '../../agent/model/ip.ts';
import { openUdpDataPlane } from './data-plane.ts';
import type { UdpOptions } from './options.ts';

const TYPE = 'udp';

/** Name of the TUN device; flannel's. */
const DEVICE = 'flannel0';

/** IPv4 20, UDP 8; the inner packet is the payload, without a header of our own. */
const OVERHEAD_BYTES = 28;

export function createUdp(options: UdpOptions): Backend {
  return {
    type: TYPE,
    announce: () => undefined,
    mtuBytes: ({ underlay }) => underlay.mtuBytes - OVERHEAD_BYTES,
    plan: ({ host, network, subnet }) => [
      {
        kind: 'link',
        type: 'tun',
        name: DEVICE,
        mtuBytes: host.underlay.mtuBytes - OVERHEAD_BYTES,
        up: true,
      },
      { kind: 'addr', prefix: formatPrefix(hostPrefix(subnet.address)), dev: DEVICE },
      // Which peer has which part of it is the forwarder's to know.
      {
        kind: 'route',
        type: 'unicast',
        dst: formatPrefix(network),
        via: undefined,
        dev: DEVICE,
        onlink: false,
      },
    ],
    openDataPlane: (input, deps) =>
      openUdpDataPlane({ device: DEVICE, port: options.port, type: TYPE }, input, deps),
  };
}

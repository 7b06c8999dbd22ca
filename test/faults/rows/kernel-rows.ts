// Changes by other programs to the overlay in the kernel of the first host.
import { commands, type Fault } from '../fault.ts';

const SECOND = 1_000;

export const KERNEL_FAULTS: readonly Fault[] = [
  {
    name: 'an overlay route is deleted',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip route delete SUBNET'),
  },
  {
    name: 'a wrong route takes the place of an overlay route',
    backends: ['vxlan', 'host-gw', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip route replace SUBNET dev lo'),
  },
  {
    name: 'the permanent neighbours are flushed',
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands('ip neigh flush dev DEV nud permanent'),
  },
  {
    name: 'an fdb entry is deleted',
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands('bridge fdb delete MAC dev DEV self'),
  },
  {
    name: 'the overlay link is set down',
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV down'),
  },
  {
    name: 'the overlay link is set down and up',
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV down', 'ip link set DEV up'),
  },
  {
    name: 'the overlay link is deleted',
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link delete DEV'),
  },
  {
    name: "the overlay link's MTU is changed",
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV mtu 1000'),
  },
  {
    name: "the overlay link's MAC is changed",
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands('ip link set DEV address 02:00:00:00:99:99'),
  },
  {
    name: "the overlay link's address is deleted",
    backends: ['vxlan', 'udp'],
    requiredMs: SECOND,
    inject: commands('ip -4 address flush dev DEV'),
  },
  {
    name: 'routes and entries of others are put on the overlay link',
    backends: ['vxlan'],
    requiredMs: SECOND,
    inject: commands(
      'ip route add 10.5.240.0/24 via 10.5.240.0 dev DEV onlink proto 84',
      'ip neigh add 10.5.240.0 lladdr 02:00:00:00:00:99 dev DEV nud permanent',
      'bridge fdb add 02:00:00:00:00:99 dev DEV dst 192.168.77.99 self permanent',
    ),
  },
];

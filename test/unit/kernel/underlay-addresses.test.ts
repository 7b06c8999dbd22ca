// The choice among addresses: virtual ones, and those of hosts that speak BGP.
import { describe } from 'vitest';
import { BGP, BGP_WAY, CONNECTED, itChooses, LO, type Row, VAGRANT } from './underlay-bed.ts';

const ROWS: readonly Row[] = [
  {
    host: 'BGP with the host’s address on lo as the source',
    ip: `${BGP}
      default src 10.99.0.1 nexthop via 10.1.0.0 dev eth0 nexthop via 10.1.0.2 dev eth1`,
    chosen: `${BGP_WAY}: the default route`,
  },
  {
    host: 'BGP with the host’s address on a dummy link',
    ip: `${LO}
      dummy0: <UP,LOWER_UP> mtu 1500 ether 02:00:00:00:00:99 type dummy
        inet 10.99.0.1/32
      eth0: <UP,LOWER_UP> mtu 1400 ether 52:54:00:00:00:01
        inet 10.1.0.1/31
      10.1.0.0/31 dev eth0 src 10.1.0.1
      default via 10.1.0.0 dev eth0 src 10.99.0.1`,
    chosen: 'dummy0 10.99.0.1 mtu 1400 unbound on-link 10.1.0.0/31 eth0 mac 52:54:00:00:00:01',
  },
  {
    host: 'BGP over links without IPv4 addresses, without a source',
    ip: `
      lo: <LOOPBACK,UP,LOWER_UP> mtu 65536
        inet 127.0.0.1/8 scope host
        inet 10.99.0.1/32
      swp1: <UP,LOWER_UP> mtu 9216
      swp2: <UP,LOWER_UP> mtu 9216
      default nexthop via inet6 fe80::1 dev swp1 nexthop via inet6 fe80::2 dev swp2`,
    chosen: 'lo 10.99.0.1 mtu 9216 unbound: the default route',
  },
  {
    host: 'BGP, asked for by the address of lo',
    ip: `${BGP}
      default nexthop via 10.1.0.0 dev eth0 nexthop via 10.1.0.2 dev eth1`,
    flags: { iface: ['10.99.0.1'] },
    chosen: `${BGP_WAY}: --iface=10.99.0.1`,
  },
  {
    host: 'BGP, asked for by the name of lo',
    ip: `${BGP}
      default nexthop via 10.1.0.0 dev eth0 nexthop via 10.1.0.2 dev eth1`,
    flags: { iface: ['lo'] },
    chosen: `${BGP_WAY}: --iface=lo`,
  },
  {
    host: 'a bridge that only holds an address',
    ip: `${LO}
      br0: <UP,LOWER_UP> mtu 65535 type bridge
        inet 10.99.0.1/32
      eth0: <UP,LOWER_UP> mtu 1450
        inet 10.1.0.1/31
      10.1.0.0/31 dev eth0 src 10.1.0.1
      default via 10.1.0.0 dev eth0`,
    flags: { iface: ['br0'] },
    chosen: 'br0 10.99.0.1 mtu 1450 unbound on-link 10.1.0.0/31 eth0',
  },
  {
    host: 'a virtual address, /32, before the host’s own',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/32
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0
      ${CONNECTED}`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a virtual address, /32, before the host’s own on an interface without a default route',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/32
        inet 10.0.2.15/24
      ${CONNECTED}`,
    flags: { iface: ['eth0'] },
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a virtual address of the same network, which came later',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/24 secondary
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a virtual address of the same network that came first, and a default route that names the own one',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/24
        inet 10.0.2.15/24 secondary
      default via 10.0.2.2 dev eth0 src 10.0.2.15
      10.0.2.0/24 dev eth0 src 10.0.2.100`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a virtual address of the same network that came first, and a device of the last run',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/24
        inet 10.0.2.15/24 secondary
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan local 10.0.2.15
      default via 10.0.2.2 dev eth0
      10.0.2.0/24 dev eth0 src 10.0.2.100`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a virtual address, /32, that a device of an older version has',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/32
        inet 10.0.2.15/24
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan local 10.0.2.100
      ${CONNECTED}`,
    flags: { iface: ['eth0'] },
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a device of the last run with an address that is gone, or of another link',
    ip: `${VAGRANT}
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan local 10.0.2.99
      flannel.2: <UP,LOWER_UP> mtu 1450 type vxlan local 192.168.77.1`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a virtual address that NetworkManager’s route does not have',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/24 noprefixroute
        inet 10.0.2.15/24 secondary noprefixroute
      default via 10.0.2.2 dev eth0 metric 100
      ${CONNECTED} metric 100`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a deprecated address before the host’s own',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.100/24 deprecated
        inet 10.0.2.15/24 secondary
      default via 10.0.2.2 dev eth0`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'an address that is valid on the link alone before the host’s own',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.9.0.1/24 scope link
        inet 10.0.2.15/24
      default via 10.9.0.254 dev eth0`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'two networks on one link: the gateway’s',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 172.20.0.5/24
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0
      172.20.0.0/24 dev eth0 src 172.20.0.5
      ${CONNECTED}`,
    chosen: 'eth0 10.0.2.15 mtu 1500 on-link 172.20.0.0/24, 10.0.2.0/24',
  },
  {
    host: 'a link-local address beside the host’s own',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 169.254.7.7/16
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0`,
    chosen: 'eth0 10.0.2.15',
  },
];

describe('the underlay by its address', () => itChooses(ROWS));

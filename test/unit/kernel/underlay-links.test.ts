// The choice of the underlay by links and routes.
import { describe } from 'vitest';
import { CONNECTED, itChooses, LO, type Row, VAGRANT } from './underlay-bed.ts';

const ROWS: readonly Row[] = [
  {
    host: 'one link, one address',
    ip: VAGRANT,
    chosen: 'eth0 10.0.2.15 mtu 1500 on-link 10.0.2.0/24 mac 52:54:00:00:00:01: the default route',
  },
  {
    host: 'a cloud’s /32 with its gateway on the link',
    ip: `${LO}
      ens4: <UP,LOWER_UP> mtu 1460 ether 42:01:0a:80:00:05
        inet 10.128.0.5/32
      10.128.0.1 dev ens4
      default via 10.128.0.1 dev ens4 metric 100`,
    chosen: 'ens4 10.128.0.5 mtu 1460 on-link 10.128.0.1/32 mac 42:01:0a:80:00:05',
  },
  {
    host: 'a VLAN',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
      eth0.7: <UP,LOWER_UP> mtu 1496 type vlan
        inet 10.7.0.5/24
      default via 10.7.0.1 dev eth0.7
      10.7.0.0/24 dev eth0.7 src 10.7.0.5`,
    chosen: 'eth0.7 10.7.0.5 mtu 1496 on-link 10.7.0.0/24',
  },
  {
    host: 'a bond',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 9000
      eth1: <UP,LOWER_UP> mtu 9000
      bond0: <UP,LOWER_UP> mtu 9000 type bond
        inet 10.7.0.5/24
      default via 10.7.0.1 dev bond0
      10.7.0.0/24 dev bond0 src 10.7.0.5`,
    chosen: 'bond0 10.7.0.5 mtu 9000',
  },
  {
    host: 'a bridge with the address and eth0 as its port',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
      br0: <UP,LOWER_UP> mtu 1500 type bridge
        inet 10.7.0.5/24
      default via 10.7.0.1 dev br0
      10.7.0.0/24 dev br0 src 10.7.0.5`,
    chosen: 'br0 10.7.0.5 mtu 1500 on-link 10.7.0.0/24',
  },
  {
    host: 'a VRF, asked for by the name of its port',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.7.0.5/24
      red: <UP,LOWER_UP> mtu 65575 type vrf
      default via 10.7.0.1 dev eth0 table 10
      10.7.0.0/24 dev eth0 src 10.7.0.5 table 10`,
    flags: { iface: ['eth0'] },
    chosen: 'eth0 10.7.0.5 mtu 1500 on-link 10.7.0.0/24: --iface=eth0',
  },
  {
    host: 'several default routes: the lowest metric',
    ip: `${LO}
      wlan0: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      default via 10.8.0.1 dev wlan0 metric 600
      default via 10.0.2.2 dev eth0 metric 100`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'several default routes with one metric: the kernel’s first',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      default via 10.8.0.1 dev eth1
      default via 10.0.2.2 dev eth0`,
    chosen: 'eth1 10.8.0.5',
  },
  {
    host: 'a default route only in another table, which rules lead to',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      ${CONNECTED}
      default via 10.8.0.1 dev eth1 table 100
      get anywhere: 192.0.2.1 via 10.8.0.1 dev eth1 src 10.8.0.5`,
    chosen: 'eth1 10.8.0.5 mtu 1500: the default route by the rules of policy routing',
  },
  {
    host: 'rules that only some packets take beside a default route of the main table',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      wg0: <UP,LOWER_UP> mtu 1420 type wireguard
        inet 10.66.0.2/32
      default via 10.0.2.2 dev eth0
      default dev wg0 table 51820`,
    chosen: 'eth0 10.0.2.15 mtu 1500',
  },
  {
    host: 'a default route with two gateways on one link',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      ${CONNECTED}
      default nexthop via 10.0.2.2 dev eth0 nexthop via 10.0.2.3 dev eth0`,
    chosen: 'eth0 10.0.2.15 mtu 1500 on-link 10.0.2.0/24: the default route',
  },
  {
    host: 'a default route over two links with the source of one',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      default src 10.8.0.5 nexthop via 10.0.2.2 dev eth0 nexthop via 10.8.0.1 dev eth1`,
    chosen: 'eth1 10.8.0.5',
  },
  {
    host: 'a default route over two links, of which one has no address',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      default nexthop dev eth0 nexthop via 10.8.0.1 dev eth1`,
    chosen: 'eth1 10.8.0.5',
  },
  {
    host: 'a default route over two links, of which one is down',
    ip: `${LO}
      eth0: <> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      default nexthop via 10.0.2.2 dev eth0 dead nexthop via 10.8.0.1 dev eth1`,
    chosen: 'eth1 10.8.0.5',
  },
  {
    host: 'a point-to-point link',
    ip: `${LO}
      ppp0: <UP,LOWER_UP> mtu 1492
        inet 100.64.3.5 peer 100.64.0.1/32
      100.64.0.1 dev ppp0 src 100.64.3.5
      default dev ppp0`,
    chosen: 'ppp0 100.64.3.5 mtu 1492 on-link 100.64.0.1/32: the default route',
  },
  {
    host: 'Tailscale, whose routes are in a table of its own',
    ip: `${VAGRANT}
      tailscale0: <UP,LOWER_UP> mtu 1280 type tun
        inet 100.100.3.5/32
      100.100.3.6 dev tailscale0 table 52`,
    flags: { iface: ['tailscale0'] },
    chosen: 'tailscale0 100.100.3.5 mtu 1280 on-link 100.100.3.6/32: --iface=tailscale0',
  },
  {
    host: 'a left-over flannel.1 that has the default route',
    ip: `${VAGRANT}
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan
        inet 10.5.3.0/32
      default dev flannel.1`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a flannel.1 with an address and a default route by dhcpcd, and flannel0',
    ip: `${LO}
      flannel0: <UP,LOWER_UP> mtu 1472 type tun
        inet 10.5.3.0/32
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan
        inet 10.0.2.77/24
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      default via 10.0.2.2 dev flannel.1 src 10.0.2.77
      default via 10.0.2.2 dev eth0 metric 1002
      default dev flannel0 metric 1`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a pattern that links of the overlay fit too',
    ip: `${LO}
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan
        inet 10.0.3.0/32
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      ${CONNECTED}`,
    flags: { ifaceRegex: [/^10\./] },
    chosen: 'eth0 10.0.2.15 mtu 1500 on-link 10.0.2.0/24: --iface-regex=^10\\.',
  },
  {
    host: 'a pattern that loopback fits too',
    ip: VAGRANT,
    flags: { ifaceRegex: [/./] },
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'Docker and containers',
    ip: `${VAGRANT}
      docker0: <UP> mtu 1500 type bridge
        inet 172.17.0.1/16
      veth01: <UP,LOWER_UP> mtu 1500 type veth
      172.17.0.0/16 dev docker0 src 172.17.0.1`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a blackhole and an unreachable default route',
    ip: `${VAGRANT}
      blackhole default
      unreachable default metric 4278198272`,
    chosen: 'eth0 10.0.2.15',
  },
  {
    host: 'a default route by a link that is down',
    ip: `${LO}
      eth0: <> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      default via 10.0.2.2 dev eth0 dead
      default via 10.8.0.1 dev eth1 metric 200`,
    chosen: 'eth1 10.8.0.5',
  },
  {
    host: 'a default route by a link without carrier, and another one',
    ip: `${LO}
      eth0: <UP> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.8.0.5/24
      default via 10.0.2.2 dev eth0
      default via 10.8.0.1 dev eth1 metric 200`,
    chosen: 'eth1 10.8.0.5',
  },
  {
    host: 'a default route by a link without carrier alone',
    ip: `${LO}
      eth0: <UP> mtu 1500
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0`,
    chosen: 'eth0 10.0.2.15 mtu 1500 no carrier',
  },
  {
    host: 'an MTU of the default route',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 9001
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0 mtu 1500
      ${CONNECTED}`,
    chosen: 'eth0 10.0.2.15 mtu 1500',
  },
  {
    host: 'a locked MTU of the route to the own network',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth0
      ${CONNECTED} mtu lock 1400
      10.9.0.0/24 dev eth0 mtu 576`,
    chosen: 'eth0 10.0.2.15 mtu 1400',
  },
  {
    host: 'an MTU of a default route by another link',
    ip: `${VAGRANT}
      default via 10.0.2.2 dev eth0 metric 50 mtu 1300`,
    flags: { iface: ['eth1'] },
    chosen: 'eth1 192.168.77.1 mtu 9000',
  },
];

describe('the underlay by its link', () => itChooses(ROWS));

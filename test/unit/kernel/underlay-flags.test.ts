// The choice of the underlay by the operator's flags.
import { describe } from 'vitest';
import type { InterfaceWish } from '../../../agent/kernel/external-interface.ts';
import { BGP, BGP_WAY, itChooses, LO, type Row, VAGRANT } from './underlay-bed.ts';

type FlagRow = readonly [flags: string, wish: Partial<InterfaceWish>, chosen: string];

const FLAG_ROWS: readonly FlagRow[] = [
  ['a name', { iface: ['eth1'] }, 'eth1 192.168.77.1'],
  ['an address', { iface: ['192.168.77.1'] }, 'eth1 192.168.77.1'],
  ['several, of which the first is not there', { iface: ['ens3', 'eth1'] }, 'eth1 192.168.77.1'],
  ['several: the first', { iface: ['eth1', 'eth0'] }, 'eth1 192.168.77.1'],
  ['several, of which the first has no address', { iface: ['eth2', 'eth1'] }, 'eth1 192.168.77.1'],
  ['several, of which the first is down', { iface: ['eth3', 'eth1'] }, 'eth1 192.168.77.1'],
  ['a pattern of names', { ifaceRegex: [/^eth[1-9]$/] }, 'eth1 192.168.77.1'],
  ['a pattern of addresses', { ifaceRegex: [/^192\.168\.77\./] }, 'eth1 192.168.77.1'],
  ['a pattern of a second address', { ifaceRegex: [/\.16$/] }, 'eth0 10.0.2.16'],
  ['a pattern: addresses before names', { ifaceRegex: [/^eth0$|^192/] }, 'eth1 192.168.77.1'],
  ['a name before any pattern', { iface: ['eth1'], ifaceRegex: [/eth0/] }, 'eth1 192.168.77.1'],
  ['a pattern where no name fits', { iface: ['ens3'], ifaceRegex: [/eth0/] }, 'eth0 10.0.2.15'],
  ['a second address of a link', { iface: ['10.0.2.16'] }, 'eth0 10.0.2.16'],
  ['an announced address that a link has', { publicIP: '192.168.77.1' }, 'eth1 192.168.77.1'],
  ['an announced address that no link has (NAT)', { publicIP: '203.0.113.9' }, 'eth0 10.0.2.15'],
  ['a name and an announced address', { publicIP: '192.168.77.1', iface: ['eth0'] }, 'eth0 10.0.2.15'],
  [
    'an announced address rather than one to reach',
    { publicIP: '10.0.2.16', ifaceCanReach: '192.168.77.9' },
    'eth0 10.0.2.16',
  ],
  ['a name rather than an address to reach', { iface: ['eth0'], ifaceCanReach: '192.168.77.9' }, 'eth0'],
  ['an address to reach', { ifaceCanReach: '192.168.77.9' }, 'eth1 192.168.77.1'],
];

const FLAG_HOST = `${VAGRANT}
  eth2: <UP,LOWER_UP> mtu 1500
  eth3: <> mtu 1500
    inet 192.168.78.1/24
  get 192.168.77.9: 192.168.77.9 dev eth1 src 192.168.77.1`.replace(
  'inet 10.0.2.15/24',
  'inet 10.0.2.15/24\n inet 10.0.2.16/24 secondary',
);

const REACH_ROWS: readonly Row[] = [
  {
    host: 'a way with a source that is not the first address',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
        inet 10.99.0.1/32
      default via 10.0.2.2 dev eth0
      get 10.50.0.9: 10.50.0.9 via 10.0.2.2 dev eth0 src 10.99.0.1`,
    flags: { ifaceCanReach: '10.50.0.9' },
    chosen: 'eth0 10.99.0.1 mtu 1500: the way to --iface-can-reach=10.50.0.9',
  },
  {
    host: 'a way whose source is on lo',
    ip: `${BGP}
      default src 10.99.0.1 nexthop via 10.1.0.0 dev eth0 nexthop via 10.1.0.2 dev eth1
      get 10.50.0.9: 10.50.0.9 via 10.1.0.2 dev eth1 src 10.99.0.1`,
    flags: { ifaceCanReach: '10.50.0.9' },
    chosen: `${BGP_WAY}: the way to --iface-can-reach=10.50.0.9`,
  },
  {
    host: 'an address of the host itself',
    ip: `${VAGRANT}
      get 192.168.77.1: local 192.168.77.1 dev lo src 192.168.77.1`,
    flags: { ifaceCanReach: '192.168.77.1' },
    chosen:
      'eth1 192.168.77.1 mtu 9000 on-link 192.168.77.0/24 mac 52:54:00:00:01:01: it has --iface-can-reach=',
  },
  {
    host: 'one address on lo and on a link',
    ip: `${BGP}
        inet 10.99.0.1/32
      default via 10.1.0.0 dev eth0`,
    flags: { publicIP: '10.99.0.1' },
    chosen: 'lo 10.99.0.1 mtu 9000 unbound',
  },
  {
    host: 'one address on two links, of which one has the default route',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      default via 10.0.2.2 dev eth1`,
    flags: { iface: ['10.0.2.15'] },
    chosen: 'eth1 10.0.2.15',
  },
];

describe('the underlay by flags', () => {
  itChooses(
    FLAG_ROWS.map(([host, flags, chosen]) => ({ host: `flags with ${host}`, ip: FLAG_HOST, flags, chosen })),
  );
  itChooses(REACH_ROWS);
});

// Hosts on which no underlay can be chosen, and the error that says so.
import { describe, expect, it } from 'vitest';
import { chooseInterface, type InterfaceWish } from '../../../agent/kernel/external-interface.ts';
import { hostNetwork } from './ip-output.ts';
import { BGP, choice, LO, VAGRANT, wish } from './underlay-bed.ts';

interface Refusal {
  readonly host: string;
  readonly ip: string;
  readonly flags?: Partial<InterfaceWish>;
  readonly message: string;
  readonly hint?: string;
}

const VAGRANT_CHOICE = 'choose with --iface one of: eth0 (10.0.2.15); eth1 (192.168.77.1)';

const REFUSALS: readonly Refusal[] = [
  {
    host: 'no name fits',
    ip: VAGRANT,
    flags: { iface: ['ens3', '10.9.9.9'] },
    message: 'no interface matches ens3, 10.9.9.9',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'neither a name nor a pattern fits',
    ip: VAGRANT,
    flags: { iface: ['ens3'], ifaceRegex: [/^br-/] },
    message: 'no interface matches ens3, /^br-/',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'the link has no address',
    ip: `${VAGRANT}
      eth2: <UP,LOWER_UP> mtu 1500`,
    flags: { iface: ['eth2'] },
    message: 'interface eth2 has no IPv4 address',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'the link is down, and another one has no address: the first reason',
    ip: `${VAGRANT}
      eth2: <UP,LOWER_UP> mtu 1500
      eth3: <> mtu 1500
        inet 192.168.78.1/24`,
    flags: { iface: ['eth3', 'eth2'] },
    message: 'interface eth3 is down',
    hint: 'ip link set eth3 up',
  },
  {
    host: 'the link has a link-local address alone',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 169.254.7.7/16
      default dev eth0`,
    message: 'interface eth0 has no IPv4 address that other hosts can reach: 169.254.7.7 is not one',
    hint: 'no interface here has an IPv4 address',
  },
  {
    host: 'loopback by its name',
    ip: VAGRANT,
    flags: { iface: ['lo'] },
    message: 'interface lo has no IPv4 address that other hosts can reach: 127.0.0.1 is not one',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'loopback by its address',
    ip: VAGRANT,
    flags: { iface: ['127.0.0.1'] },
    message: 'other hosts cannot reach 127.0.0.1 of interface lo',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'the way to a loopback address',
    ip: `${VAGRANT}
      get 127.0.0.1: local 127.0.0.1 dev lo src 127.0.0.1`,
    flags: { ifaceCanReach: '127.0.0.1' },
    message: 'other hosts cannot reach 127.0.0.1 of interface lo',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'the way to an address of loopback’s network that no link has',
    ip: `${VAGRANT}
      get 127.0.0.5: local 127.0.0.5 dev lo src 127.0.0.1`,
    flags: { ifaceCanReach: '127.0.0.5' },
    message: '--iface-can-reach=127.0.0.5: other hosts cannot reach this address',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'no way to the address',
    ip: VAGRANT,
    flags: { ifaceCanReach: '172.16.0.1' },
    message: 'no route leads to 172.16.0.1',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'the way to the address leads through the overlay',
    ip: `${VAGRANT}
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan
        inet 10.5.3.0/32
      get 10.5.4.9: 10.5.4.9 via 10.5.4.0 dev flannel.1 src 10.5.3.0`,
    flags: { ifaceCanReach: '10.5.4.9' },
    message: 'interface flannel.1 is part of an overlay network',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'a link of the overlay by its name',
    ip: `${VAGRANT}
      flannel-wg: <UP,LOWER_UP> mtu 1420 type wireguard
        inet 10.5.3.0/32`,
    flags: { iface: ['flannel-wg'] },
    message: 'interface flannel-wg is part of an overlay network',
    hint: VAGRANT_CHOICE,
  },
  {
    host: 'the default route leads through the overlay alone',
    ip: `${LO}
      flannel.1: <UP,LOWER_UP> mtu 1450 type vxlan
        inet 10.5.3.0/32
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      default dev flannel.1`,
    message: 'no default route leads out of any interface, and --iface was not given',
    hint: 'choose with --iface one of: eth0 (10.0.2.15)',
  },
  {
    host: 'a default route over two links with an address each',
    ip: `${BGP}
      default nexthop via 10.1.0.0 dev eth0 nexthop via 10.1.0.2 dev eth1`,
    message: 'the default route leads out of eth0 and eth1: nothing decides which of them is the underlay',
    hint: 'choose with --iface one of: lo (10.99.0.1); eth0 (10.1.0.1); eth1 (10.1.0.3)',
  },
  {
    host: 'one address on two links',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24
      eth1: <UP,LOWER_UP> mtu 1500
        inet 10.0.2.15/24`,
    flags: { iface: ['10.0.2.15'] },
    message: 'eth0 and eth1 have the address 10.0.2.15: nothing decides which of them is the underlay',
  },
  {
    host: 'an address on lo, and no route out',
    ip: BGP,
    flags: { iface: ['10.99.0.1'] },
    message: 'no default route says by which interface packets from 10.99.0.1 of lo leave',
  },
  {
    host: 'no default route',
    ip: `${LO}
      eth1: <UP,LOWER_UP> mtu 1500
        inet 192.168.77.1/24`,
    message: 'no default route leads out of any interface, and --iface was not given',
    hint: 'choose with --iface one of: eth1 (192.168.77.1)',
  },
  {
    host: 'IPv6 alone',
    ip: `${LO}
      eth0: <UP,LOWER_UP> mtu 1500`,
    message: 'no default route leads out of any interface, and --iface was not given',
    hint: 'no interface here has an IPv4 address',
  },
  {
    host: 'many interfaces: some are listed',
    ip: Array.from({ length: 14 }, (_, i) => `veth${i}: <UP> mtu 1500\n inet 10.9.${i}.1/24`).join('\n'),
    message: 'no default route leads out of any interface, and --iface was not given',
    hint: `choose with --iface one of: ${Array.from({ length: 12 }, (_, i) => `veth${i} (10.9.${i}.1)`).join('; ')}; and 2 more`,
  },
];

describe('no underlay', () => {
  it.each(REFUSALS)('an underlay is refused: $host', ({ ip, flags = {}, message, hint }) => {
    const error = expect.objectContaining({
      name: 'TwillError',
      code: 'host',
      message,
      ...(hint === undefined ? {} : { hint }),
    });
    expect(() => choice(hostNetwork(ip), flags)).toThrow(error);
  });

  it('an underlay that is lost while nothing else fits is named', () => {
    const inUse = { name: 'eth0', address: '10.0.2.15', why: 'the default route' };
    const host = hostNetwork(`${LO}
      eth0: <> mtu 1500
        inet 10.0.2.15/24`);
    expect(() => chooseInterface(wish({}), host, inUse)).toThrow(
      'eth0 10.0.2.15 is down or gone, and no default route leads out of any interface',
    );
  });
});

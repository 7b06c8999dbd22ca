import { describe, expect, it } from 'vitest';
import { chooseInterface, type InterfaceWish } from '../../../agent/kernel/external-interface.ts';
import type { HostInterface } from '../../../agent/kernel/netlink/interfaces.ts';
import { prefix } from '../../support/build.ts';

function link(name: string, index: number, changes: Partial<HostInterface> = {}): HostInterface {
  return {
    name,
    index,
    mtuBytes: 1500,
    mac: undefined,
    isUp: true,
    hasCarrier: true,
    isLoopback: false,
    addresses: [],
    onLink: [],
    hasDefaultRoute: false,
    ...changes,
  };
}

const LO = link('lo', 1, { isLoopback: true, addresses: [prefix('127.0.0.1/8')], mtuBytes: 65_536 });
const ETH0 = link('eth0', 2, {
  addresses: [prefix('10.0.2.15/24'), prefix('10.0.2.16/24')],
  onLink: [prefix('10.0.2.0/24')],
  hasDefaultRoute: true,
});
const ETH1 = link('eth1', 3, {
  addresses: [prefix('192.168.77.1/24')],
  onLink: [prefix('192.168.77.0/24')],
  mtuBytes: 9000,
});
const BARE = link('eth2', 4);
const DOWN = link('eth3', 5, { isUp: false, addresses: [prefix('192.168.78.1/24')] });
const HOST = [LO, ETH0, ETH1, BARE, DOWN];
const CHOICE =
  'choose with --iface one of: eth0 (10.0.2.15, 10.0.2.16); eth1 (192.168.77.1); eth3 (192.168.78.1)';

const wish = (changes: Partial<InterfaceWish>): InterfaceWish => ({
  iface: [],
  ifaceRegex: [],
  ifaceCanReach: undefined,
  ...changes,
});

describe('the underlay interface', () => {
  it.each([
    ['nothing: the default route’s', {}, undefined, 'eth0 10.0.2.15'],
    ['a name', { iface: ['eth1'] }, undefined, 'eth1 192.168.77.1'],
    ['an address', { iface: ['192.168.77.1'] }, undefined, 'eth1 192.168.77.1'],
    ['a second address of a link', { iface: ['10.0.2.16'] }, undefined, 'eth0 10.0.2.16'],
    ['several, of which the first is not there', { iface: ['ens3', 'eth1'] }, undefined, 'eth1 192.168.77.1'],
    ['several: the first', { iface: ['eth1', 'eth0'] }, undefined, 'eth1 192.168.77.1'],
    [
      'several, of which the first has no address',
      { iface: ['eth2', 'eth1'] },
      undefined,
      'eth1 192.168.77.1',
    ],
    ['several, of which the first is down', { iface: ['eth3', 'eth1'] }, undefined, 'eth1 192.168.77.1'],
    ['a pattern of names', { ifaceRegex: [/^eth[1-9]$/] }, undefined, 'eth1 192.168.77.1'],
    ['a pattern of addresses', { ifaceRegex: [/^192\.168\.77\./] }, undefined, 'eth1 192.168.77.1'],
    ['a pattern of a second address', { ifaceRegex: [/\.16$/] }, undefined, 'eth0 10.0.2.16'],
    ['a pattern: addresses before names', { ifaceRegex: [/^eth0$|^192/] }, undefined, 'eth1 192.168.77.1'],
    ['a name before any pattern', { iface: ['eth1'], ifaceRegex: [/eth0/] }, undefined, 'eth1 192.168.77.1'],
    ['a pattern where no name fits', { iface: ['ens3'], ifaceRegex: [/eth0/] }, undefined, 'eth0 10.0.2.15'],
    ['the loopback link by name', { iface: ['lo'] }, undefined, 'lo 127.0.0.1'],
    ['an address to reach', { ifaceCanReach: '192.168.77.9' }, 3, 'eth1 192.168.77.1'],
    [
      'a name rather than an address to reach',
      { iface: ['eth0'], ifaceCanReach: '192.168.77.9' },
      3,
      'eth0 10.0.2.15',
    ],
  ])('the underlay interface is found by %s', (_, changes, routeTo, expected) => {
    const { link, address } = chooseInterface(wish(changes), HOST, routeTo);
    expect(`${link.name} ${address}`).toBe(expected);
  });

  it('the underlay interface comes with its MTU and the prefixes that it reaches', () => {
    expect(chooseInterface(wish({ iface: ['eth1'] }), HOST, undefined)).toEqual({
      link: { name: 'eth1', mtuBytes: 9000, hasCarrier: true },
      address: '192.168.77.1',
      onLink: [prefix('192.168.77.0/24')],
    });
  });

  it.each([
    [
      'no name',
      { iface: ['ens3', '10.9.9.9'] },
      HOST,
      undefined,
      'no interface matches ens3, 10.9.9.9',
      CHOICE,
    ],
    [
      'no pattern',
      { ifaceRegex: [/^ens/, /^br-/] },
      HOST,
      undefined,
      'no interface matches /^ens/, /^br-/',
      CHOICE,
    ],
    [
      'neither',
      { iface: ['ens3'], ifaceRegex: [/^br-/] },
      HOST,
      undefined,
      'no interface matches ens3, /^br-/',
      CHOICE,
    ],
    ['no address on it', { iface: ['eth2'] }, HOST, undefined, 'interface eth2 has no IPv4 address', CHOICE],
    ['down', { iface: ['eth3'] }, HOST, undefined, 'interface eth3 is down', 'ip link set eth3 up'],
    [
      'of several none usable: the first one’s reason',
      { iface: ['eth3', 'eth2'] },
      HOST,
      undefined,
      'interface eth3 is down',
      'ip link set eth3 up',
    ],
    [
      'no default route',
      {},
      [LO, ETH1],
      undefined,
      'no default route leads out of any interface, and --iface was not given',
      'choose with --iface one of: eth1 (192.168.77.1)',
    ],
    [
      'no way to the address',
      { ifaceCanReach: '172.16.0.1' },
      HOST,
      undefined,
      'no route leads to 172.16.0.1',
      CHOICE,
    ],
    [
      'no interface to choose',
      {},
      [LO, BARE],
      undefined,
      'no default route leads out of any interface, and --iface was not given',
      'no interface here has an IPv4 address',
    ],
  ])('an underlay interface is refused: %s', (_, changes, interfaces, routeTo, message, hint) => {
    expect(() => chooseInterface(wish(changes), interfaces, routeTo)).toThrow(
      expect.objectContaining({ name: 'TwillError', code: 'host', message, hint }),
    );
  });
});

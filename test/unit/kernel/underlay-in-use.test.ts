// The underlay in use: it stays while its link is up and has the address.
import { describe, expect, it } from 'vitest';
import { chooseInterface, type InterfaceWish } from '../../../agent/kernel/external-interface.ts';
import { hostNetwork } from './ip-output.ts';
import { VAGRANT, wish } from './underlay-bed.ts';

describe('the underlay in use', () => {
  const inUse = { name: 'eth0', address: '10.0.2.15', why: 'it was so' };
  const kept = (ip: string, changes: Partial<InterfaceWish> = {}): string => {
    const { link, address, why } = chooseInterface(wish(changes), hostNetwork(ip), inUse);
    return `${link.name} ${address}: ${why}`;
  };
  const own = 'inet 10.0.2.15/24';

  it.each([
    ['a virtual address comes before it', VAGRANT.replace(own, `inet 10.0.2.100/24\n${own} secondary`)],
    ['another default route is better', `${VAGRANT}\ndefault via 192.168.77.254 dev eth1`],
    ['its default route is gone', VAGRANT.replace(/default.*/, '')],
    ['its address is deprecated', VAGRANT.replace(own, `${own} deprecated\ninet 10.0.2.16/24`)],
    ['its link has no carrier', VAGRANT.replace('eth0: <UP,LOWER_UP>', 'eth0: <UP>')],
  ])('the underlay in use stays when %s', (_, ip) => {
    expect(kept(ip)).toBe('eth0 10.0.2.15: it was so');
  });

  it('the underlay in use stays when the flags would choose another now', () => {
    expect(kept(VAGRANT, { iface: ['eth1'] })).toBe('eth0 10.0.2.15: it was so');
  });

  it.each([
    ['its address is gone', VAGRANT.replace(own, 'inet 10.0.2.16/24'), 'eth0 10.0.2.16: the default route'],
    [
      'its link is down',
      `${VAGRANT.replace('eth0: <UP,LOWER_UP>', 'eth0: <>')}\ndefault via 192.168.77.254 dev eth1 metric 500`,
      'eth1 192.168.77.1: the default route',
    ],
    [
      'its address is on another link now',
      `${VAGRANT.replace(own, '')}
        br0: <UP,LOWER_UP> mtu 1500 type bridge
          ${own}
        default via 10.0.2.2 dev br0 metric 1`,
      'br0 10.0.2.15: the default route',
    ],
  ])('the underlay is chosen anew when %s', (_, ip, expected) => {
    expect(kept(ip)).toBe(expected);
  });
});

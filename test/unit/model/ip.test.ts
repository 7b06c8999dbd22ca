import { describe, expect, it } from 'vitest';
import {
  addressAt,
  addressBits,
  addressBytes,
  addressFromBits,
  addressFromBytes,
  containsAddress,
  containsPrefix,
  formatPrefix,
  hostPrefix,
  isHostAddress,
  networkOf,
  overlaps,
  parseAddress,
  parsePrefix,
} from '../../../agent/model/ip.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { prefix } from '../../support/build.ts';

describe('parseAddress', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['10.5.34.1', '10.5.34.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:5:22::', 'fd00:5:22::'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    // RFC 5952: the longest run, the first of equal ones, and never a single group.
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:1.2.3.4', '::ffff:102:304'],
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
  ])('parseAddress reads %s as %s', (text, address) => {
    expect(parseAddress(text)).toEqual({ family: address.includes(':') ? 'ipv6' : 'ipv4', address });
    expect(parseAddress(address)?.address).toBe(address);
  });

  it.each([
    '',
    ' ',
    '10',
    '10.5',
    '10.5.34',
    '10.5.34.1.1',
    '10.5.34.256',
    '010.5.34.1',
    '0x0a.5.34.1',
    '167772161',
    '+10.5.34.1',
    '-1.5.34.1',
    '1e1.5.34.1',
    '10.5.34.1 ',
    ' 10.5.34.1',
    '10.5.34.1\n',
    '10.5.34.1\u0000',
    '10.5.34.1/24',
    '10.5.34.',
    '١٠.٥.٣٤.١',
    ':',
    ':::',
    '1::2::3',
    'fe80::1%eth0',
    '[::1]',
    '::12345',
    '::g',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    '::1.2.3.256',
    '::01.2.3.4',
    '1.2.3.4::',
    'fd00::/64',
    'localhost',
    '__proto__',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe('parsePrefix', () => {
  it.each([
    ['10.5.0.0/16', { family: 'ipv4', address: '10.5.0.0', length: 16 }],
    ['10.5.34.1/24', { family: 'ipv4', address: '10.5.34.1', length: 24 }],
    ['0.0.0.0/0', { family: 'ipv4', address: '0.0.0.0', length: 0 }],
    ['10.5.34.1/32', { family: 'ipv4', address: '10.5.34.1', length: 32 }],
    ['::/0', { family: 'ipv6', address: '::', length: 0 }],
    ['FD00:5:22:0::1/64', { family: 'ipv6', address: 'fd00:5:22::1', length: 64 }],
    ['::1/128', { family: 'ipv6', address: '::1', length: 128 }],
  ])('parsePrefix reads %s', (text, expected) => {
    expect(parsePrefix(text)).toEqual(expected);
  });

  it.each([
    '',
    '/',
    '/24',
    '10.5.0.0',
    '10.5.0.0/',
    '10.5.0.0/33',
    '10.5.0.0/-1',
    '10.5.0.0/+8',
    '10.5.0.0/8.0',
    '10.5.0.0/ 8',
    '10.5.0.0/8 ',
    '10.5.0.0/1e1',
    '10.5.0.0/0x8',
    '10.5.0.0/255.255.0.0',
    '10.5.0.0/16/24',
    '10.5/16',
    '::/129',
    '::/1000',
    'fd00::',
  ])('refuses %j', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });
});

describe('networkOf', () => {
  it.each([
    ['10.5.34.77/24', '10.5.34.0/24'],
    ['10.5.34.77/0', '0.0.0.0/0'],
    ['10.5.34.77/1', '0.0.0.0/1'],
    ['200.5.34.77/1', '128.0.0.0/1'],
    ['10.5.34.77/31', '10.5.34.76/31'],
    ['10.5.34.77/32', '10.5.34.77/32'],
    ['fd00:5:22:ffff::1/56', 'fd00:5:22:ff00::/56'],
    ['fd00::1/0', '::/0'],
    ['fd00::1/128', 'fd00::1/128'],
  ])('networkOf clears the host bits of %s', (text, expected) => {
    expect(formatPrefix(networkOf(prefix(text)))).toBe(expected);
  });
});

describe('addresses as numbers', () => {
  it.each([
    ['0.0.0.0', 0n],
    ['10.5.34.1', 0x0a052201n],
    ['255.255.255.255', 0xffffffffn],
    ['::1', 1n],
    ['fd00::', 0xfdn << 120n],
  ])('%s is %d and back', (address, bits) => {
    expect(addressBits(address)).toBe(bits);
    expect(addressFromBits(address.includes(':') ? 'ipv6' : 'ipv4', bits)).toBe(address);
  });

  it('any address comes back the same from bytes and from bits', () => {
    const random = seededRandom(1);
    for (let i = 0; i < 2_000; i++) {
      // Many zero groups, so that the compressed forms come up.
      const bytes = Array.from({ length: i % 2 === 0 ? 4 : 16 }, () =>
        random() < 0.5 ? 0 : Math.floor(random() * 256),
      );
      const address = addressFromBytes(bytes);
      expect(addressBytes(address), address).toEqual(bytes);
      expect(addressFromBits(bytes.length === 4 ? 'ipv4' : 'ipv6', addressBits(address))).toBe(address);
      expect(parseAddress(address)?.address).toBe(address);
    }
  });

  it('addressAt counts from the start of a prefix', () => {
    expect(addressAt(prefix('10.5.34.77/24'), 0)).toBe('10.5.34.0');
    expect(addressAt(prefix('10.5.34.77/24'), 256)).toBe('10.5.35.0');
    expect(addressAt(prefix('fd00::/64'), 65_536)).toBe('fd00::1:0');
  });

  it('hostPrefix makes a prefix of one address', () => {
    expect(formatPrefix(hostPrefix('10.5.34.0'))).toBe('10.5.34.0/32');
    expect(formatPrefix(hostPrefix('fd00::'))).toBe('fd00::/128');
  });
});

describe('containment', () => {
  it.each([
    ['10.5.0.0/16', '10.5.34.0/24', true, true],
    ['10.5.34.0/24', '10.5.0.0/16', false, true],
    ['10.5.34.0/24', '10.5.34.0/24', true, true],
    ['10.5.34.0/24', '10.5.35.0/24', false, false],
    ['0.0.0.0/0', '10.5.34.0/24', true, true],
    ['10.5.34.0/24', '0.0.0.0/0', false, true],
    ['10.5.34.9/24', '10.5.34.1/32', true, true],
    ['::/0', '10.5.34.0/24', false, false],
    ['0.0.0.0/0', 'fd00::/64', false, false],
    ['fd00::/48', 'fd00:0:0:1::/64', true, true],
    ['fd00::/64', 'fd00:0:0:1::/64', false, false],
  ])('%s and %s: contains %s, overlaps %s', (outer, inner, contains, overlap) => {
    expect(containsPrefix(prefix(outer), prefix(inner))).toBe(contains);
    expect(overlaps(prefix(outer), prefix(inner))).toBe(overlap);
    expect(overlaps(prefix(inner), prefix(outer))).toBe(overlap);
  });

  it('a prefix contains its first and last address, and no neighbour of them', () => {
    const subnet = prefix('10.5.34.0/24');
    expect(
      ['10.5.33.255', '10.5.34.0', '10.5.34.255', '10.5.35.0', 'fd00::'].filter((address) =>
        containsAddress(subnet, address),
      ),
    ).toEqual(['10.5.34.0', '10.5.34.255']);
  });
});

describe('isHostAddress', () => {
  it.each([
    ['10.0.0.1', true],
    ['100.64.0.1', true],
    ['192.0.2.1', true],
    ['169.253.255.255', true],
    ['169.254.0.1', false],
    ['0.0.0.0', false],
    ['0.255.255.255', false],
    ['127.0.0.1', false],
    ['127.255.255.255', false],
    ['223.255.255.255', true],
    ['224.0.0.1', false],
    ['239.255.255.255', false],
    ['240.0.0.1', true],
    ['255.255.255.255', false],
  ])('%s can be that of one host for all others: %s', (address, expected) => {
    expect(isHostAddress(address)).toBe(expected);
  });
});

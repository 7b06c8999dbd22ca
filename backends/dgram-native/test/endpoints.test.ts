// Endpoints of both families in an arena.
import { describe, expect, it } from 'vitest';
import { createArena, createEndpoints, ENDPOINT_BYTES } from '../src/index.ts';

function createSlots(count: number) {
  const arena = createArena(65_536);
  const slots = Array.from({ length: count }, () => arena.reserve(ENDPOINT_BYTES));
  return { arena, endpoints: createEndpoints(arena), slots };
}

describe('an endpoint', () => {
  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['fe80::', 'fe80::'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
  ])('an endpoint of %s reads as %s', (address, canonical) => {
    const { endpoints, slots } = createSlots(1);
    const [at = 0] = slots;
    endpoints.set(at, address, 8_285);
    expect([endpoints.address(at), endpoints.port(at)]).toEqual([canonical, 8_285]);
    endpoints.set(at, endpoints.address(at), 65_535);
    expect([endpoints.address(at), endpoints.port(at)]).toEqual([canonical, 65_535]);
  });

  it('an endpoint equals another of the same address and port, regardless of the bytes before', () => {
    const all = ['10.0.0.1', '10.0.0.2', '::1', '::2', '1::1'].flatMap((address) =>
      [1, 256].map((port) => ({ address, port })),
    );
    const { arena, endpoints, slots } = createSlots(2 * all.length);
    arena.u8.fill(0xff, 0, 1_024);
    for (const [i, at] of slots.entries()) {
      const { address, port } = all[i % all.length] ?? { address: '', port: 0 };
      endpoints.set(at, address, port);
    }
    for (const [i, a] of slots.entries()) {
      for (const [j, b] of slots.entries()) {
        expect(endpoints.equals(a, b), `${i} and ${j}`).toBe(i % all.length === j % all.length);
      }
    }
  });

  it.each([
    ['10.0.0.1', 0x0a000001],
    ['192.168.0.2', 0xc0a80002],
    ['255.255.255.255', 0xffffffff],
  ])('an endpoint of %s is written and read as a number', (address, bits) => {
    const { endpoints, slots } = createSlots(3);
    const [text = 0, unsigned = 0, signed = 0] = slots;
    endpoints.set(text, address, 7);
    endpoints.setIpv4(unsigned, bits, 7);
    endpoints.setIpv4(signed, bits | 0, 7);
    expect([unsigned, signed].map((at) => endpoints.equals(at, text))).toEqual([true, true]);
    expect(slots.map((at) => endpoints.ipv4(at))).toEqual([bits | 0, bits | 0, bits | 0]);
  });

  it('an IPv6 endpoint has no IPv4 address', () => {
    const { endpoints, slots } = createSlots(1);
    endpoints.set(slots[0] ?? 0, '1:2:3:4:5:6:7:8', 7);
    expect(endpoints.ipv4(slots[0] ?? 0)).toBe(0);
  });

  it.each(['', '1', '1.2.3', '1.2.3.256', '01.2.3.4', '1:2', ':::', '::g', '1::2::3', 'fe80::1%lo', '[::1]'])(
    'an endpoint is not written for the address "%s"',
    (address) => {
      const { endpoints } = createSlots(1);
      expect(() => endpoints.set(0, address, 1)).toThrow(`"${address}" is not an IPv4 or IPv6 address`);
    },
  );

  it.each([-1, 65_536, 1.5, Number.NaN])('an endpoint is not written for port %j', (port) => {
    const { endpoints } = createSlots(1);
    expect(() => endpoints.set(0, '::1', port)).toThrow(`${port} is not a port from 0 to 65535`);
  });

  it.each([-4, 65_536, 65_512, Number.NaN])(
    'an endpoint is not written outside the arena: offset %j',
    (at) => {
      const { endpoints } = createSlots(1);
      expect(() => endpoints.set(at, '::1', 1)).toThrow('not in the arena');
      expect(() => endpoints.setIpv4(at, 1, 1)).toThrow('not in the arena');
    },
  );

  it('an endpoint is written on boundaries of 4 bytes only', () => {
    const { endpoints } = createSlots(1);
    expect(() => endpoints.set(2, '::1', 1)).toThrow('an endpoint lies on a boundary of 4, not at 2');
    expect(() => endpoints.setIpv4(1, 1, 1)).toThrow('an endpoint lies on a boundary of 4, not at 1');
  });
});

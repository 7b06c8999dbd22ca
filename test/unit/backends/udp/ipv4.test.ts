import { describe, expect, it } from 'vitest';
import { findHeaderFault, takeHop, writeHeaderChecksum } from '../../../../backends/udp/packets/ipv4.ts';
import { createPacketMemory } from '../../../../backends/udp/packets/packet-memory.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { at, faultOf, ipv4, pick, put16, randomBytes } from './packets.ts';

const ADDRESSES = { source: '10.5.2.7', destination: '10.5.1.9' };
const plain = ipv4({ ...ADDRESSES, protocol: 253, payload: new Uint8Array(12) });
const withOptions = ipv4({
  ...ADDRESSES,
  protocol: 253,
  payload: new Uint8Array(3),
  options: new Uint8Array(40).fill(1),
});

function changed(packet: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = packet.slice();
  copy[offset] = value;
  return copy;
}

// With the checksum right, so that what is found is the field itself.
function mended(packet: Uint8Array, offset: number, value: number): Uint8Array {
  const copy = changed(packet, offset, value);
  const memory = createPacketMemory(copy);
  if ((at(copy, 0) & 15) >= 5) writeHeaderChecksum(memory, 0);
  return copy;
}

describe('the header check', () => {
  it.each([
    ['a good packet', plain, undefined],
    ['the longest header', withOptions, undefined],
    ['bytes after the packet', Uint8Array.from([...plain, 0, 0]), undefined],
    ['nothing', new Uint8Array(0), 'short'],
    ['one byte less than a header', plain.subarray(0, 19), 'short'],
    ['IPv6', changed(plain, 0, 0x60), 'version'],
    ['version 0', changed(plain, 0, 0x05), 'version'],
    ['a header of 16 bytes', mended(plain, 0, 0x44), 'header_length'],
    ['a header that is longer than the datagram', changed(plain, 0, 0x4f), 'header_length'],
    ['a total length beyond the datagram', mended(plain, 3, plain.length + 1), 'total_length'],
    ['a total length below the header', mended(plain, 3, 19), 'total_length'],
    ['a wrong checksum', changed(plain, 11, at(plain, 11) ^ 1), 'checksum'],
    ['a changed address', changed(plain, 15, 1), 'checksum'],
  ])('the header check finds the fault of %s: %s', (_, bytes, fault) => {
    expect(findHeaderFault(createPacketMemory(bytes), 0, bytes.length)).toBe(fault);
  });

  it('the header check works at any offset', () => {
    const bytes = Uint8Array.from([1, 2, 3, ...withOptions]);
    expect(findHeaderFault(createPacketMemory(bytes), 3, withOptions.length)).toBeUndefined();
  });
});

describe('taking a hop from a packet', () => {
  it('taking a hop leaves the checksum of any header right', () => {
    const random = seededRandom(4);
    for (let round = 0; round < 5_000; round++) {
      const packet = ipv4({
        source: [...randomBytes(random, 4)].join('.'),
        destination: [...randomBytes(random, 4)].join('.'),
        protocol: 200 + pick(random, 50),
        id: pick(random, 65_536),
        ttl: 2 + pick(random, 254),
        payload: new Uint8Array(0),
        options: randomBytes(random, 4 * pick(random, 11)),
      });
      const ttl = at(packet, 8);
      expect(takeHop(createPacketMemory(packet), 0)).toBe(true);
      expect(at(packet, 8)).toBe(ttl - 1);
      expect(faultOf(packet)).toBeUndefined();
    }
  });

  it('taking a hop leaves the checksum right where the carry wraps around', () => {
    for (let id = 0; id < 65_536; id++) {
      const packet = ipv4({ ...ADDRESSES, protocol: 253, id, ttl: 2, payload: new Uint8Array(0) });
      takeHop(createPacketMemory(packet), 0);
      if (faultOf(packet) !== undefined) expect.fail(`id ${id}: ${faultOf(packet)}`);
    }
  });

  it.each([0, 1])('a packet with time to live %i is refused and stays as it is', (ttl) => {
    const packet = ipv4({ ...ADDRESSES, protocol: 253, ttl, payload: new Uint8Array(0) });
    const before = packet.slice();
    expect(takeHop(createPacketMemory(packet), 0)).toBe(false);
    expect(packet).toEqual(before);
  });
});

it('a checksum is written regardless of the one before', () => {
  const packet = withOptions.slice();
  put16(packet, 10, 0x1234);
  writeHeaderChecksum(createPacketMemory(packet), 0);
  expect(faultOf(packet)).toBeUndefined();
});

import { expect, it } from 'vitest';
import { forbidsFragments, fragmentPacket } from '../../../../backends/udp/packets/fragment.ts';
import { createPacketMemory } from '../../../../backends/udp/packets/packet-memory.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { at, faultOf, get16, ipv4, pick, randomBytes } from './packets.ts';

const ADDRESSES = { source: '10.5.2.7', destination: '10.5.1.9', protocol: 253 };
const HEADERS_AT = 70_000;
/** All of a header but total length, fragment, checksum, and options. */
const KEPT = [0, 1, 4, 5, 8, 9, 12, 13, 14, 15, 16, 17, 18, 19];

// The comparison of arrays by the test runner takes milliseconds for a large packet.
const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function cut(packet: Uint8Array, pathBytes: number): Uint8Array[] {
  const bytes = new Uint8Array(HEADERS_AT + 2_000 * 64);
  bytes.set(packet);
  const fragments: Uint8Array[] = [];
  const count = fragmentPacket(
    createPacketMemory(bytes),
    0,
    pathBytes,
    (i) => HEADERS_AT + i * 64,
    (header, headerBytes, payload, payloadBytes) =>
      fragments.push(
        Uint8Array.from([
          ...bytes.subarray(header, header + headerBytes),
          ...bytes.subarray(payload, payload + payloadBytes),
        ]),
      ),
  );
  expect(fragments).toHaveLength(count);
  expect(isSame(bytes.subarray(0, packet.length), packet)).toBe(true);
  return fragments;
}

it('fragments fit the path, have good headers, and make up the packet', () => {
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const field = pick(random, 3) === 0 ? 0x2000 | pick(random, 50) : 0;
    const packet = ipv4({
      ...ADDRESSES,
      id: pick(random, 65_536),
      fragment: field,
      options: randomBytes(random, 4 * pick(random, 11)),
      payload: randomBytes(random, pick(random, round % 20 === 0 ? 65_000 : 3_000)),
    });
    const pathBytes = 68 + pick(random, 1_500);
    const fragments = cut(packet, pathBytes);
    const headerBytes = (at(packet, 0) & 15) * 4;
    const payload = new Uint8Array(packet.length - headerBytes);
    for (const [i, fragment] of fragments.entries()) {
      const offset = ((get16(fragment, 6) & 0x1fff) - (field & 0x1fff)) * 8;
      payload.set(fragment.subarray(headerBytes), offset);
      const isLast = i === fragments.length - 1;
      // One assertion for each of many thousand fragments is slow enough.
      expect({
        fits: fragment.length <= pathBytes,
        fault: faultOf(fragment),
        hasMore: (get16(fragment, 6) & 0x2000) !== 0,
        isAligned: isLast || (fragment.length - headerBytes) % 8 === 0,
        changed: KEPT.filter((offsetOf) => at(fragment, offsetOf) !== at(packet, offsetOf)),
      }).toEqual({
        fits: true,
        fault: undefined,
        hasMore: !isLast || (field & 0x2000) !== 0,
        isAligned: true,
        changed: [],
      });
    }
    expect(isSame(payload, packet.subarray(headerBytes))).toBe(true);
  }
});

it('fragments are cut for a path of at least 68 bytes', () => {
  const packet = ipv4({ ...ADDRESSES, fragment: 0, payload: new Uint8Array(200) });
  expect(cut(packet, 0).map(({ length }) => length)).toEqual([68, 68, 68, 68, 28]);
});

it.each([
  ['an option that is copied', [0x94, 4, 0, 0], [0x94, 4, 0, 0]],
  ['one that is not', [7, 4, 4, 0], [1, 1, 1, 1]],
  ['both', [7, 4, 4, 0, 0x94, 4, 0, 0], [1, 1, 1, 1, 0x94, 4, 0, 0]],
  ['the end of the list', [1, 0, 7, 4], [1, 0, 7, 4]],
  ['an option of no length', [7, 0, 9, 9], [1, 1, 1, 1]],
  ['an option beyond the header', [0x94, 9, 9, 9], [1, 1, 1, 1]],
  ['an option at the very end', [1, 1, 1, 7], [1, 1, 1, 1]],
])('later fragments keep only copied options: %s', (_, options, later) => {
  const packet = ipv4({
    ...ADDRESSES,
    fragment: 0,
    options: Uint8Array.from(options),
    payload: new Uint8Array(200),
  });
  const found = cut(packet, 100).map((part) => [...part.subarray(20, 20 + options.length)]);
  expect(found[0]).toEqual(options);
  expect(found.slice(1).every((list) => list.join() === later.join())).toBe(true);
});

it.each([
  [0x4000, true],
  [0, false],
  [0x2000, false],
])('a packet with flags %i forbids fragments: %s', (fragment, forbidden) => {
  const packet = ipv4({ ...ADDRESSES, fragment, payload: new Uint8Array(9) });
  expect(forbidsFragments(createPacketMemory(packet), 0)).toBe(forbidden);
});

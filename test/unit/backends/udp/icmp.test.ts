import { describe, expect, it } from 'vitest';
import { createPlainSum } from '../../../../backends/udp/packets/checksum.ts';
import {
  FRAGMENTATION_NEEDED,
  mayAnswer,
  NET_UNREACHABLE,
  TIME_EXCEEDED,
  writeIcmpError,
} from '../../../../backends/udp/packets/icmp.ts';
import { createPacketMemory } from '../../../../backends/udp/packets/packet-memory.ts';
import { createTokenBucket } from '../../../../backends/udp/packets/token-bucket.ts';
import { addressOf, at, faultOf, get16, icmp, ipv4, text, udp } from './packets.ts';

const ADDRESSES = { source: '10.5.1.7', destination: '10.5.2.9' };
const data = Uint8Array.from({ length: 1_000 }, (_, i) => i & 255);

describe('an ICMP error', () => {
  it.each([
    ['time exceeded', TIME_EXCEEDED, 11, 0, 0],
    ['net unreachable', NET_UNREACHABLE, 3, 0, 0],
    ['fragmentation needed', FRAGMENTATION_NEEDED, 3, 4, 1_372],
  ])(
    'an ICMP error of %s has good checksums and quotes as much as fits',
    (_, error, type, code, mtuBytes) => {
      for (const length of [0, 1, 520, 521, 1_000]) {
        const packet = udp({ ...ADDRESSES, data: data.subarray(0, length) });
        const bytes = new Uint8Array(4_000);
        bytes.set(packet, 3);
        const memory = createPacketMemory(bytes);
        const about = { at: 3, length: packet.length };
        const source = addressOf('10.5.0.0');
        const written = writeIcmpError(memory, createPlainSum(memory), 2_000, error, about, source, mtuBytes);
        const answer = bytes.slice(2_000, 2_000 + written);
        expect(faultOf(answer)).toBeUndefined();
        expect([at(answer, 9), at(answer, 20), at(answer, 21), get16(answer, 26)]).toEqual([
          1,
          type,
          code,
          mtuBytes,
        ]);
        expect([text(answer, 12), text(answer, 16)]).toEqual(['10.5.0.0', '10.5.1.7']);
        expect(answer.length).toBe(Math.min(28 + packet.length, 576));
        expect(answer.subarray(28)).toEqual(packet.subarray(0, 548));
      }
    },
  );
});

describe('an error is sent', () => {
  const other = { ...ADDRESSES, protocol: 50, payload: data };
  it.each([
    ['a datagram', udp({ ...ADDRESSES, data }), true],
    ['an echo', icmp({ ...ADDRESSES, type: 8 }), true],
    ['an answer to an echo', icmp({ ...ADDRESSES, type: 0 }), true],
    ['"unreachable"', icmp({ ...ADDRESSES, type: 3 }), false],
    ['"source quench"', icmp({ ...ADDRESSES, type: 4 }), false],
    ['"redirect"', icmp({ ...ADDRESSES, type: 5 }), false],
    ['"time exceeded"', icmp({ ...ADDRESSES, type: 11 }), false],
    ['"parameter problem"', icmp({ ...ADDRESSES, type: 12 }), false],
    ['an unknown type of ICMP', icmp({ ...ADDRESSES, type: 200 }), false],
    ['ICMP without a type', ipv4({ ...ADDRESSES, protocol: 1, payload: new Uint8Array(0) }), false],
    ['the first fragment', ipv4({ ...other, fragment: 0x2000 }), true],
    ['a later fragment', ipv4({ ...other, fragment: 1 }), false],
    ['a packet from 0.0.0.0', ipv4({ ...other, source: '0.0.0.0' }), false],
    ['the loopback', ipv4({ ...other, source: '127.0.0.1' }), false],
    ['a multicast source', ipv4({ ...other, source: '224.0.0.1' }), false],
    ['a broadcast source', ipv4({ ...other, source: '255.255.255.255' }), false],
    ['a packet to a multicast group', ipv4({ ...other, destination: '239.1.2.3' }), false],
    ['a broadcast packet', ipv4({ ...other, destination: '255.255.255.255' }), false],
  ])('an error is sent about %s: %3$s', (_, packet, expected) => {
    expect(mayAnswer(createPacketMemory(packet), 0, packet.length)).toBe(expected);
  });
});

describe('the token bucket', () => {
  it('the token bucket lets a burst pass, and then its rate', () => {
    const bucket = createTokenBucket({ burst: 3, perSecond: 10 });
    const at0 = Array.from({ length: 5 }, () => bucket.take(1_000));
    expect(at0).toEqual([true, true, true, false, false]);
    expect([bucket.take(1_099), bucket.take(1_100), bucket.take(1_101)]).toEqual([false, true, false]);
    const later = Array.from({ length: 5 }, () => bucket.take(60_000));
    expect(later).toEqual([true, true, true, false, false]);
  });
});

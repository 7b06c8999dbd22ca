// Runs of datagrams between real sockets on the loopback, cut and merged by the kernel or by the package.
import { describe, expect, it } from 'vitest';
import { MAX_RUN_BYTES } from '../src/index.ts';
import { SOL_SOCKET, SOL_UDP } from '../src/numbers.ts';
import { setOption } from '../src/socket-options.ts';
import { datagramsOf, FAMILIES, isPayload, openPair, type Pair } from './pair.ts';

// A socket that sends no checksums cannot send runs. Over IPv6 the receiver has to agree to have none.
const SO_NO_CHECK = 11;
const UDP_NO_CHECK6_TX = 101;
const UDP_NO_CHECK6_RX = 102;

function sendNoChecksums({ from, to }: Pair, family: 'IPv4' | 'IPv6'): void {
  if (family === 'IPv4') {
    setOption(from.fd, SOL_SOCKET, SO_NO_CHECK, 1, 'test');
  } else {
    setOption(from.fd, SOL_UDP, UDP_NO_CHECK6_TX, 1, 'test');
    setOption(to.fd, SOL_UDP, UDP_NO_CHECK6_RX, 1, 'test');
  }
}

const RUN_OF_950 = [...Array.from({ length: 9 }, () => 100), 50];

// The kernel's segmentation and coalescing, each with and without.
const SWITCHES = [
  { segmentation: true, coalescing: true },
  { segmentation: true, coalescing: false },
  { segmentation: false, coalescing: true },
  { segmentation: false, coalescing: false },
];

const MODES = FAMILIES.flatMap((family) => SWITCHES.map((switches) => ({ ...family, ...switches })));

describe.each(MODES)(
  'runs over $family with segmentation $segmentation and coalescing $coalescing',
  ({ address, most, segmentation, coalescing }) => {
    const open = () => openPair({ address, from: { segmentation }, to: { coalescing } });

    it('sockets segment and coalesce runs only when they were opened to', () => {
      using pair = open();
      expect(pair.from.canSegment).toBe(segmentation);
      expect(pair.to.canCoalesce).toBe(coalescing);
    });

    it.each([
      [1000, 10_000],
      [1000, 10_001],
      [1000, 999],
      [1000, 1000],
      [1000, 1001],
      [1, 64],
      [1399, 64 * 1399],
      [1472, 44 * 1472],
      [32_000, 65_000],
    ])('runs of %i-byte datagrams, %i bytes in all, arrive whole', (segmentBytes, wanted) => {
      const bytes = Math.min(wanted, most);
      using pair = open();
      pair.sender.begin(pair.target, segmentBytes);
      // Pieces of odd lengths, some of which lie across the ends of datagrams.
      for (let at = 0; at < bytes; ) {
        const length = Math.min(at % 3 === 0 ? 301 : 700, bytes - at);
        pair.sender.append(pair.payload + at, length);
        at += length;
      }
      expect(pair.sender.flush()).toBe(0);
      const messages = pair.receiveBytes(bytes);
      const datagrams = datagramsOf(messages);
      const count = Math.ceil(bytes / segmentBytes);
      expect(datagrams.map(({ length }) => length)).toEqual(
        Array.from({ length: count }, (_, i) => Math.min(segmentBytes, bytes - i * segmentBytes)),
      );
      expect(datagrams.every((datagram, i) => isPayload(datagram, i * segmentBytes))).toBe(true);
      if (!coalescing) expect(messages.length).toBe(count);
      // A longer run is more than a device takes at once: the kernel cuts it on its way.
      else if (segmentation && bytes <= MAX_RUN_BYTES) expect(messages.length).toBe(1);
      expect(pair.from.canSegment).toBe(segmentation);
    });

    it('runs mix with single datagrams and keep their order', () => {
      using pair = open();
      const lengths: number[] = [];
      for (let i = 0; i < 40; i += 1) {
        const datagrams = i % 4;
        pair.sender.begin(pair.target, datagrams === 0 ? 0 : 200 + i);
        for (let n = 0; n < Math.max(1, datagrams); n += 1) {
          pair.sender.append(pair.payload + n * (200 + i), 200 + i);
          lengths.push(200 + i);
        }
      }
      expect(pair.sender.flush()).toBe(0);
      const messages = pair.receiveBytes(lengths.reduce((sum, bytes) => sum + bytes, 0));
      expect(datagramsOf(messages).map(({ length }) => length)).toEqual(lengths);
    });

    it('runs of too long datagrams are refused, and the kernel still cuts others', () => {
      using pair = open();
      pair.sender.begin(pair.target, 40_000);
      pair.sender.append(pair.payload, 65_536);
      pair.sender.append(pair.payload, 65_536);
      expect(pair.sender.flush()).toBeLessThanOrEqual(1);
      expect(pair.from.canSegment).toBe(segmentation);
    });
  },
);

describe.each(FAMILIES)('a run over $family that the kernel does not cut', ({ family, address }) => {
  it('a run that the kernel does not cut is cut by the sender, and the kernel is not asked again', () => {
    using pair = openPair({ address, to: { coalescing: false } });
    sendNoChecksums(pair, family);
    for (let i = 0; i < 3; i += 1) {
      pair.sender.begin(pair.target, 100);
      pair.sender.append(pair.payload + i, 950);
    }
    expect(pair.from.canSegment).toBe(true);
    expect(pair.sender.flush()).toBe(0);
    expect(pair.from.canSegment).toBe(false);
    const messages = pair.receiveBytes(2850);
    expect(messages.map(({ bytes }) => bytes.length)).toEqual([...RUN_OF_950, ...RUN_OF_950, ...RUN_OF_950]);
    expect(messages.every(({ bytes }, i) => isPayload(bytes, Math.floor(i / 10) + (i % 10) * 100))).toBe(
      true,
    );
  });

  it('a run of too many datagrams is cut by the sender, and the kernel still cuts others', () => {
    using pair = openPair({ address, to: { coalescing: false } });
    pair.sender.begin(pair.target, 10);
    pair.sender.append(pair.payload, 5_000);
    expect(pair.sender.flush()).toBe(0);
    expect(pair.from.canSegment).toBe(true);
    const messages = pair.receiveBytes(5_000);
    expect(messages.length).toBe(500);
    expect(messages.every(({ bytes }, i) => isPayload(bytes, i * 10))).toBe(true);
  });
});

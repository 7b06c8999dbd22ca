import { describe, expect, it } from 'vitest';
import { readCounters } from '../../../../backends/udp/counters.ts';
import { plain } from './bed.ts';
import {
  ADDRESSES,
  arena,
  createParts,
  datagramsOf,
  merge,
  offer,
  random,
  roomAt,
  segmentsOf,
  spoil,
} from './coalescer-bed.ts';
import { expand } from './expand.ts';
import { at, get16, ipv4, randomBytes, tcp, udp } from './packets.ts';
import { oneHopLess } from './traffic.ts';

describe('a run', () => {
  it.each([
    ['TCP', segmentsOf(14_200, 1_420)],
    ['TCP with a short end', segmentsOf(3_000, 1_399)],
    ['TCP with options', segmentsOf(5_000, 999, { tcpOptions: randomBytes(random, 40) })],
    ['TCP that ends with PSH and FIN', segmentsOf(5_000, 777, { flags: 0x19 })],
    ['TCP that begins with CWR', segmentsOf(5_000, 777, { flags: 0x90 })],
    ['TCP with ECE in all', segmentsOf(5_000, 777, { flags: 0x50 })],
    ['segments of one byte', segmentsOf(60, 1)],
    ['sequence numbers that go round', segmentsOf(4_000, 1_000, { sequence: 0xffff_f900 })],
    ['packet numbers that go round', segmentsOf(4_000, 1_000, { id: 0xffff, fragment: 0 })],
    [
      'packets without a number of their own',
      segmentsOf(4_000, 4_000).concat(segmentsOf(4_000, 4_000, { sequence: 4_001 })),
    ],
    ['UDP', datagramsOf(12_000, 1_200)],
    ['UDP of odd size', datagramsOf(12_000, 1_201)],
    ['UDP with a short end', datagramsOf(12_000, 1_111)],
    ['UDP of one byte', datagramsOf(50, 1)],
  ])('a run of %s is written as one packet that stands for exactly its packets', (_, packets) => {
    const written = merge(packets);
    expect(written).toHaveLength(1);
    expect(written.flatMap(expand).map(withoutId)).toEqual(packets.map(oneHopLess).map(withoutId));
  });

  it('a run ends before 65,535 bytes, and the next run begins', () => {
    const packets = segmentsOf(65_000, 1_000).concat(segmentsOf(65_000, 1_000, { sequence: 65_001 }));
    const written = merge(packets);
    expect(written.map(({ length }) => length)).toEqual([10 + 40 + 65_000, 10 + 40 + 65_000]);
    expect(written.flatMap(expand)).toEqual(packets.map(oneHopLess));
  });

  it('a UDP run ends after 64 datagrams', () => {
    const packets = datagramsOf(150 * 20, 20);
    const written = merge(packets);
    expect(written.map((run) => expand(run).length)).toEqual([64, 64, 22]);
    expect(written.flatMap(expand)).toEqual(packets.map(oneHopLess));
  });

  it('a run refused by the device is the last run of its protocol', () => {
    const { tun, coalescer, counters } = createParts();
    const { write } = tun;
    tun.write = () => -22;
    offer(coalescer, datagramsOf(3_000, 1_000));
    tun.write = write;
    offer(coalescer, datagramsOf(3_000, 1_000));
    offer(coalescer, segmentsOf(3_000, 1_000));
    expect(tun.take().map((run) => expand(run).length)).toEqual([1, 1, 1, 3]);
    expect(readCounters(counters)).toMatchObject({ dropped_tun_refused: 3, merging_lost: 1 });
  });

  it('a run ends when no piece is left to write', () => {
    const packets = segmentsOf(10_000, 1_000);
    const written = merge(packets, true, true, 4);
    expect(written.map(({ length }) => length)).toEqual([3_050, 3_050, 3_050, 1_050]);
    expect(written.flatMap(expand)).toEqual(packets.map(oneHopLess));
  });

  it('a run is counted as one write and one run', () => {
    const { coalescer, counters } = createParts();
    offer(coalescer, [...segmentsOf(3_000, 1_000), udp({ ...ADDRESSES, data: randomBytes(random, 9) })]);
    expect(readCounters(counters)).toMatchObject({ tun_writes: 2, tun_written_runs: 1 });
  });
});

// Where fragments are forbidden the number of a packet means nothing.
function withoutId(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  if (get16(copy, 6) === 0x4000) copy.fill(0, 4, 6).fill(0, 10, 12);
  return copy;
}

// Two packets that would be a run, but for one thing.
const MSS = 100;
const first = { ...ADDRESSES, data: randomBytes(random, MSS), sequence: 1, id: 5 };
const next = { ...first, sequence: 1 + MSS, id: 6 };
const options = Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 9]);

describe('packets', () => {
  it.each([
    ['other addresses', tcp(first), tcp({ ...next, source: '10.5.2.8' })],
    ['another destination', tcp(first), tcp({ ...next, destination: '10.5.1.8' })],
    ['other ports', tcp(first), tcp({ ...next, ports: [40_000, 81] })],
    ['a gap', tcp(first), tcp({ ...next, sequence: 2 + MSS })],
    ['the same again', tcp(first), tcp(first)],
    ['another acknowledgement', tcp(first), tcp({ ...next, acknowledgement: 8 })],
    ['another window', tcp(first), tcp({ ...next, window: 513 })],
    [
      'other TCP options',
      tcp({ ...first, tcpOptions: options }),
      tcp({ ...next, tcpOptions: options.with(7, 8) }),
    ],
    ['other lengths of TCP options', tcp({ ...first, tcpOptions: options }), tcp(next)],
    ['another type of service', tcp(first), tcp({ ...next, tos: 2 })],
    ['another time to live', tcp(first), tcp({ ...next, ttl: 63 })],
    ['fragments allowed in one only', tcp(first), tcp({ ...next, fragment: 0 })],
    [
      'numbers that do not follow, where fragments are allowed',
      tcp({ ...first, fragment: 0 }),
      tcp({ ...next, fragment: 0, id: 7 }),
    ],
    ['the reserved flag', tcp({ ...first, fragment: 0xc000 }), tcp({ ...next, fragment: 0xc000 })],
    ['fragments', tcp({ ...first, fragment: 0x2000 }), tcp({ ...next, fragment: 0x2000 })],
    [
      'IP options',
      tcp({ ...first, options: options.subarray(0, 4) }),
      tcp({ ...next, options: options.subarray(0, 4) }),
    ],
    ['a first one with PSH', tcp({ ...first, flags: 0x18 }), tcp(next)],
    ['a first one with FIN', tcp({ ...first, flags: 0x11 }), tcp(next)],
    ['SYN', tcp({ ...first, flags: 0x12 }), tcp({ ...next, flags: 0x12 })],
    ['RST', tcp({ ...first, flags: 0x14 }), tcp({ ...next, flags: 0x14 })],
    ['URG', tcp({ ...first, flags: 0x30 }), tcp({ ...next, flags: 0x30 })],
    ['a later one with CWR', tcp(first), tcp({ ...next, flags: 0x90 })],
    ['a later one with ECE', tcp(first), tcp({ ...next, flags: 0x50 })],
    [
      'acknowledgements without data',
      tcp({ ...first, data: new Uint8Array(0) }),
      tcp({ ...first, data: new Uint8Array(0) }),
    ],
    ['a longer second', tcp(first), tcp({ ...next, data: randomBytes(random, MSS + 1) })],
    ['an empty second', tcp(first), tcp({ ...next, data: new Uint8Array(0) })],
    ['a wrong header sum of the second', tcp(first), spoil(tcp(next), 11)],
    ['a wrong sum of the first', spoil(tcp(first), 37), tcp(next)],
    ['a wrong sum of the second', tcp(first), spoil(tcp(next), 37)],
    ['wrong data in the first', spoil(tcp(first), 77), tcp(next)],
    ['wrong data in the second', tcp(first), spoil(tcp(next), 77)],
    ['UDP without a checksum', udp({ ...first, noChecksum: true }), udp({ ...next, noChecksum: true })],
    ['UDP with and without a checksum', udp(first), udp({ ...next, noChecksum: true })],
    ['UDP ports', udp(first), udp({ ...next, ports: [5_000, 54] })],
    ['UDP of another length than its packet', udp(first), lengthened(udp(next))],
    ['a first UDP of another length than its packet', lengthened(udp(first)), udp(next)],
    ['empty UDP', udp({ ...first, data: new Uint8Array(0) }), udp({ ...next, data: new Uint8Array(0) })],
    ['TCP and UDP', tcp(first), udp(next)],
    [
      'another protocol',
      ipv4({ ...first, protocol: 50, payload: first.data }),
      ipv4({ ...next, protocol: 50, payload: next.data }),
    ],
    [
      'a TCP header that is longer than its packet',
      tcp({ ...first, data: new Uint8Array(4) }).with(32, 0xf0),
      tcp(next),
    ],
  ])('packets do not become a run: %s', (_, one, two) => {
    expect(merge([one, two])).toEqual([plain(oneHopLess(one)), plain(oneHopLess(two))]);
  });

  it('packets do not join a run behind a short one', () => {
    const packets = [
      tcp(first),
      tcp({ ...next, data: next.data.subarray(1) }),
      tcp({ ...next, sequence: 2 * MSS }),
    ];
    expect(merge(packets)).toHaveLength(2);
  });

  it('packets do not join a run behind PSH', () => {
    const packets = [tcp(first), tcp({ ...next, flags: 0x18 }), tcp({ ...next, sequence: 1 + 2 * MSS })];
    expect(merge(packets)).toHaveLength(2);
  });

  it('packets do not become a run for a device that takes none', () => {
    const packets = [...segmentsOf(3_000, 1_000), ...datagramsOf(3_000, 1_000)];
    expect(merge(packets, false, false)).toEqual(packets.map((packet) => plain(oneHopLess(packet))));
    expect(merge(packets, true, false)).toHaveLength(4);
    expect(merge(packets, false, true)).toHaveLength(4);
  });

  it('packets do not join a run where their total length is not that of their datagram', () => {
    const { tun, coalescer } = createParts();
    const [one, two] = [tcp(first), tcp(next)];
    arena.u8.set(one, roomAt);
    coalescer.begin(roomAt, one.length);
    arena.u8.set(two, roomAt + one.length);
    expect(coalescer.joinAdmitted(roomAt + one.length, two.length + 1)).toBe(false);
    coalescer.flush();
    expect(tun.take()).toEqual([plain(one)]);
  });
});

// The UDP length says one byte less, and the checksum stays right.
function lengthened(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[25] = at(copy, 25) - 1;
  const sum = get16(copy, 26) + 1;
  copy[26] = sum >> 8;
  copy[27] = sum & 255;
  return copy;
}

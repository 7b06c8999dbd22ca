import { describe, expect, it } from 'vitest';
import { createCounterMemory, createCounters, readCounters } from '../../../../backends/udp/counters.ts';
import { createSum } from '../../../../backends/udp/packets/checksum.ts';
import { type Coalescer, createCoalescer } from '../../../../backends/udp/packets/coalesce.ts';
import { createPacketMemory } from '../../../../backends/udp/packets/packet-memory.ts';
import { createSegmenter } from '../../../../backends/udp/packets/segment.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { plain } from './bed.ts';
import { createFakeArena, FakeTun } from './doubles.ts';
import { expand, runOf } from './expand.ts';
import { at, faultOf, get16, ipv4, pick, randomBytes, tcp, udp } from './packets.ts';

const ADDRESSES = { source: '10.5.2.9', destination: '10.5.1.7' };
const random = seededRandom(5);

const arena = createFakeArena(4 * 65_536);
const memory = createPacketMemory(arena.u8);
const sum = createSum(arena.memory, memory);
const offloadAt = arena.reserve(10);
const roomAt = arena.reserve(2 * 65_536);

function createParts(tcpRuns = true, udpRuns = true, pieces = 128) {
  const file = new FakeTun(arena.u8, pieces);
  const counters = createCounterMemory();
  const coalescer = createCoalescer({
    memory,
    sum,
    file,
    counters: createCounters(counters),
    tcpRuns,
    udpRuns,
    offloadAt,
  });
  return { file, counters, coalescer };
}

// As a forwarder does: what does not join begins a run, with one hop taken.
function offer(coalescer: Coalescer, packets: readonly Uint8Array[], start = roomAt): void {
  let to = start;
  for (const packet of packets) {
    arena.u8.set(packet, to);
    if (!coalescer.join(to, packet.length)) {
      arena.u8.set(hop(packet), to);
      coalescer.begin(to, packet.length);
    }
    to += packet.length;
  }
  coalescer.flush();
}

function merge(packets: readonly Uint8Array[], tcpRuns = true, udpRuns = true, pieces = 128): Uint8Array[] {
  const { file, coalescer } = createParts(tcpRuns, udpRuns, pieces);
  offer(coalescer, packets);
  return file.take();
}

function hop(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[8] = (at(copy, 8) - 1) & 255;
  const raised = get16(copy, 10) + 0x100;
  const folded = (raised & 0xffff) + (raised >> 16);
  copy[10] = folded >> 8;
  copy[11] = folded & 255;
  return copy;
}

const segmentsOf = (bytes: number, mss: number, fields: Partial<Parameters<typeof tcp>[0]> = {}) =>
  expand(runOf(tcp({ ...ADDRESSES, data: randomBytes(random, bytes), ...fields }), mss));

const datagramsOf = (bytes: number, size: number, fields: Partial<Parameters<typeof udp>[0]> = {}) =>
  expand(runOf(udp({ ...ADDRESSES, data: randomBytes(random, bytes), ...fields }), size));

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
    ['UDP', datagramsOf(12_000, 1_200)],
    ['UDP of odd size', datagramsOf(12_000, 1_201)],
    ['UDP with a short end', datagramsOf(12_000, 1_111)],
    ['UDP of one byte', datagramsOf(50, 1)],
  ])('of %s goes in as one packet that stands for exactly those', (_, packets) => {
    const written = merge(packets);
    expect(written).toHaveLength(1);
    expect(written.flatMap(expand)).toEqual(packets.map(hop));
  });

  it('ends at 65,535 bytes, and the next one begins', () => {
    const packets = segmentsOf(65_000, 1_000).concat(segmentsOf(65_000, 1_000, { sequence: 65_001 }));
    const written = merge(packets);
    expect(written.map(({ length }) => length)).toEqual([10 + 40 + 65_000, 10 + 40 + 65_000]);
    expect(written.flatMap(expand)).toEqual(packets.map(hop));
  });

  it('of UDP ends after 64 datagrams', () => {
    const packets = datagramsOf(150 * 20, 20);
    const written = merge(packets);
    expect(written.map((run) => expand(run).length)).toEqual([64, 64, 22]);
    expect(written.flatMap(expand)).toEqual(packets.map(hop));
  });

  it('that the device refuses is the last of its kind', () => {
    const { file, coalescer, counters } = createParts();
    file.refusal = -22;
    offer(coalescer, datagramsOf(3_000, 1_000));
    file.refusal = 0;
    offer(coalescer, datagramsOf(3_000, 1_000));
    offer(coalescer, segmentsOf(3_000, 1_000));
    expect(file.take().map((run) => expand(run).length)).toEqual([1, 1, 1, 3]);
    expect(readCounters(counters)).toMatchObject({ dropped_tun_refused: 3, merging_lost: 1 });
  });

  it('ends when no piece is left to write', () => {
    const packets = segmentsOf(10_000, 1_000);
    const written = merge(packets, true, true, 4);
    expect(written.map(({ length }) => length)).toEqual([3_050, 3_050, 3_050, 1_050]);
    expect(written.flatMap(expand)).toEqual(packets.map(hop));
  });

  it('counts', () => {
    const { coalescer, counters } = createParts();
    offer(coalescer, [...segmentsOf(3_000, 1_000), udp({ ...ADDRESSES, data: randomBytes(random, 9) })]);
    expect(readCounters(counters)).toMatchObject({ tun_writes: 2, tun_written_runs: 1 });
  });
});

// Two packets that would be a run, but for one thing.
const MSS = 100;
const first = { ...ADDRESSES, data: randomBytes(random, MSS), sequence: 1, id: 5 };
const next = { ...first, sequence: 1 + MSS, id: 6 };
const options = Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 9]);

describe('no run', () => {
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
  ])('is made of %s', (_, one, two) => {
    expect(merge([one, two])).toEqual([plain(hop(one)), plain(hop(two))]);
  });

  it('goes on after a short packet', () => {
    const packets = [
      tcp(first),
      tcp({ ...next, data: next.data.subarray(1) }),
      tcp({ ...next, sequence: 2 * MSS }),
    ];
    expect(merge(packets)).toHaveLength(2);
  });

  it('goes on after PSH', () => {
    const packets = [tcp(first), tcp({ ...next, flags: 0x18 }), tcp({ ...next, sequence: 1 + 2 * MSS })];
    expect(merge(packets)).toHaveLength(2);
  });

  it('is made for a device that takes none', () => {
    const packets = [...segmentsOf(3_000, 1_000), ...datagramsOf(3_000, 1_000)];
    expect(merge(packets, false, false)).toEqual(packets.map((packet) => plain(hop(packet))));
    expect(merge(packets, true, false)).toHaveLength(4);
    expect(merge(packets, false, true)).toHaveLength(4);
  });

  it('is begun by a packet whose total length is another than its datagram', () => {
    const { file, coalescer } = createParts();
    const [one, two] = [tcp(first), tcp(next)];
    arena.u8.set(one, roomAt);
    coalescer.begin(roomAt, one.length);
    arena.u8.set(two, roomAt + one.length);
    expect(coalescer.join(roomAt + one.length, two.length + 1)).toBe(false);
    coalescer.flush();
    expect(file.take()).toEqual([plain(one)]);
  });
});

function spoil(packet: Uint8Array, offset: number): Uint8Array {
  return packet.with(offset, at(packet, offset) ^ 0x10);
}

// The UDP length says one byte less, and the checksum stays right.
function lengthened(packet: Uint8Array): Uint8Array {
  const copy = packet.slice();
  copy[25] = at(copy, 25) - 1;
  const sum = get16(copy, 26) + 1;
  copy[26] = sum >> 8;
  copy[27] = sum & 255;
  return copy;
}

describe('any traffic', () => {
  const streams = (seed: number): Uint8Array[] => {
    const chance = seededRandom(seed);
    const packets: Uint8Array[] = [];
    while (packets.length < 60) {
      const isTcp = chance() < 0.6;
      const size = 1 + pick(chance, 1_460);
      const bytes = 1 + pick(chance, size * (1 + pick(chance, 12)));
      const fields = {
        ...ADDRESSES,
        data: randomBytes(chance, Math.min(bytes, 20_000)),
        source: chance() < 0.9 ? ADDRESSES.source : '10.5.2.10',
        id: pick(chance, 65_536),
        fragment: chance() < 0.8 ? 0x4000 : 0,
        tos: chance() < 0.9 ? 0 : pick(chance, 256),
        ttl: 2 + pick(chance, 3),
        options: chance() < 0.05 ? randomBytes(chance, 4) : new Uint8Array(0),
        sequence: pick(chance, 2 ** 32),
        flags: chance() < 0.7 ? 0x10 : pick(chance, 256),
        tcpOptions: chance() < 0.5 ? new Uint8Array(0) : randomBytes(chance, 4 * pick(chance, 11)),
      };
      packets.push(...expand(runOf(isTcp ? tcp(fields) : udp(fields), size)));
    }
    // Damaged, lost, doubled and out of order.
    return packets.flatMap((packet, i) => {
      const what = chance();
      if (what < 0.03) return [spoil(packet, 20 + pick(chance, packet.length - 20))];
      if (what < 0.05) return [];
      if (what < 0.07) return [packet, packet];
      if (what < 0.09) return [packets[pick(chance, packets.length)] ?? packet, packet];
      return what < 0.1 && i > 0 ? [packet, packets[i - 1] ?? packet] : [packet];
    });
  };

  it('comes out as it went in, whatever was put together', () => {
    let merged = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const packets = streams(seed);
      for (let from = 0; from < packets.length; from += 40) {
        const some = packets.slice(from, from + 40);
        const written = merge(some);
        merged += some.length - written.length;
        const [out, wanted] = [written.flatMap(expand), some.map(hop)].map((list) => list.map(comparable));
        expect(out, `seed ${seed}`).toEqual(wanted);
      }
    }
    expect(merged).toBeGreaterThan(1_000);
  });

  it('is the same after cutting and putting together', () => {
    const chance = seededRandom(6);
    for (let round = 0; round < 150; round++) {
      const size = 1 + pick(chance, round % 2 === 0 ? 100 : 1_460);
      const bytes = 1 + pick(chance, Math.min(60 * size, 60_000));
      const fields = {
        ...ADDRESSES,
        data: randomBytes(chance, bytes),
        id: pick(chance, 65_536),
        sequence: pick(chance, 2 ** 32),
        flags: [0x10, 0x18, 0x19, 0x90, 0x98, 0x50][pick(chance, 6)] ?? 0x10,
        tcpOptions: randomBytes(chance, 4 * pick(chance, 11)),
      };
      const whole = chance() < 0.5 ? tcp(fields) : udp(fields);
      const run = runOf(whole, size);
      const segments = segment(run, size);
      expect(segments.map(hex)).toEqual(expand(run).map(hex));
      expect(segments.map(faultOf).filter((fault) => fault !== undefined)).toEqual([]);
      const written = merge(segments);
      if (segments.length > 1) {
        expect(written.map(hex)).toEqual([hex(Buffer.concat([run.subarray(0, 10), hop(run.subarray(10))]))]);
      } else {
        expect(written.map(hex)).toEqual([hex(plain(hop(whole)))]);
      }
    }
  });
});

function hex(packet: Uint8Array): string {
  return Buffer.from(packet).toString('hex');
}

// Where fragments are forbidden the packet's number means nothing, and a run has its first one's.
function comparable(packet: Uint8Array): string {
  if (get16(packet, 6) !== 0x4000) return Buffer.from(packet).toString('hex');
  const copy = packet.slice();
  copy.fill(0, 4, 6);
  copy.fill(0, 10, 12);
  return `${faultOf(packet)?.startsWith('header') === true} ${Buffer.from(copy).toString('hex')}`;
}

function segment(run: Uint8Array, size: number): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const headerAt = roomAt + 65_536;
  const sink = {
    headerRoom: () => headerAt + 128,
    add: (_: number, header: number, headerBytes: number, payload: number, payloadBytes: number) => {
      const bytes = [
        arena.u8.subarray(header, header + headerBytes),
        arena.u8.subarray(payload, payload + payloadBytes),
      ];
      packets.push(Uint8Array.from(bytes.flatMap((part) => [...part])));
    },
  };
  // At an odd place too.
  const place = roomAt + (size & 1);
  arena.u8.set(run.subarray(10), place);
  const isCut = createSegmenter(memory, sum, sink, headerAt).segment(place, run.length - 10, size, 1);
  expect(isCut).toBe(true);
  return packets;
}

import { describe, expect, it } from 'vitest';
import { createSegmenter } from '../../../../backends/udp/packets/segment.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { plain } from './bed.ts';
import { ADDRESSES, arena, memory, merge, roomAt, spoil, sum } from './coalescer-bed.ts';
import { expand, runOf } from './expand.ts';
import { faultOf, get16, pick, randomBytes, tcp, udp } from './packets.ts';
import { oneHopLess } from './traffic.ts';

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

  it('traffic comes out of merged runs as it went in', () => {
    let merged = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const packets = streams(seed);
      for (let from = 0; from < packets.length; from += 40) {
        const some = packets.slice(from, from + 40);
        const written = merge(some);
        merged += some.length - written.length;
        const [out, wanted] = [written.flatMap(expand), some.map(oneHopLess)].map((list) =>
          list.map(comparable),
        );
        expect(out, `seed ${seed}`).toEqual(wanted);
      }
    }
    expect(merged).toBeGreaterThan(1_000);
  });

  it('traffic is the same after cutting and merging', () => {
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
        expect(written.map(hex)).toEqual([
          hex(Buffer.concat([run.subarray(0, 10), oneHopLess(run.subarray(10))])),
        ]);
      } else {
        expect(written.map(hex)).toEqual([hex(plain(oneHopLess(whole)))]);
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
  const header = headerAt + 128;
  const sink = {
    headerRoom: () => header,
    add: (_: number, headerBytes: number, payload: number, payloadBytes: number) => {
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

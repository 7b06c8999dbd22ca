// A coalescer between memory and a TUN device in memory, offered packets as the forwarder offers them.
import { createArena } from 'dgram-native';
import { createMemoryFile, createMemoryTun } from 'dgram-native/testing';
import { type Coalescer, createCoalescer } from '../../../../backends/udp/coalescer.ts';
import { createCounterMemory, createCounters } from '../../../../backends/udp/counters.ts';
import { createSum } from '../../../../backends/udp/packets/checksum.ts';
import { createPacketMemory } from '../../../../backends/udp/packets/packet-memory.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { expand, runOf } from './expand.ts';
import { at, randomBytes, tcp, udp } from './packets.ts';
import { oneHopLess } from './traffic.ts';

export const ADDRESSES = { source: '10.5.2.9', destination: '10.5.1.7' };
export const random = seededRandom(5);

export const arena = createArena(4 * 65_536);
export const memory = createPacketMemory(arena.u8);
export const sum = createSum(arena.memory, memory);
const offloadAt = arena.reserve(10);
export const roomAt = arena.reserve(2 * 65_536);

export function createParts(tcpRuns = true, udpRuns = true, pieces = 128) {
  const tun = createMemoryTun(arena);
  const counters = createCounterMemory();
  const coalescer = createCoalescer({
    memory,
    sum,
    file: createMemoryFile(arena, tun, pieces),
    counters: createCounters(counters),
    tcpRuns,
    udpRuns,
    offloadAt,
  });
  return { tun, counters, coalescer };
}

/** Offers packets as a forwarder does: a packet that does not join begins a run, with one hop taken. */
export function offer(coalescer: Coalescer, packets: readonly Uint8Array[], start = roomAt): void {
  let to = start;
  for (const packet of packets) {
    arena.u8.set(packet, to);
    if (!coalescer.joinAdmitted(to, packet.length)) {
      arena.u8.set(oneHopLess(packet), to);
      coalescer.begin(to, packet.length);
    }
    to += packet.length;
  }
  coalescer.flush();
}

export function merge(
  packets: readonly Uint8Array[],
  tcpRuns = true,
  udpRuns = true,
  pieces = 128,
): Uint8Array[] {
  const { tun, coalescer } = createParts(tcpRuns, udpRuns, pieces);
  offer(coalescer, packets);
  return tun.take();
}

export const segmentsOf = (bytes: number, mss: number, fields: Partial<Parameters<typeof tcp>[0]> = {}) =>
  expand(runOf(tcp({ ...ADDRESSES, data: randomBytes(random, bytes), ...fields }), mss));

export const datagramsOf = (bytes: number, size: number, fields: Partial<Parameters<typeof udp>[0]> = {}) =>
  expand(runOf(udp({ ...ADDRESSES, data: randomBytes(random, bytes), ...fields }), size));

/** The same with one bit changed. */
export function spoil(packet: Uint8Array, offset: number): Uint8Array {
  return packet.with(offset, at(packet, offset) ^ 0x10);
}

// Cuts a packet of the TUN device that stands for a run of TCP segments or UDP datagrams into those packets. Each gets
// headers and checksums of its own, written to the place that the sink gives; the payload stays in its place.
//
// The fields that are the same in all headers are summed once. A segment's checksums are that sum, its own few fields,
// and the sum of its payload.
import { fold, type Sum, sumHeader, sumPseudoHeader, swap16 } from './checksum.ts';
import { headerLength, IPV4, PROTOCOL_TCP, PROTOCOL_UDP } from './ipv4.ts';
import type { PacketMemory } from './packet-memory.ts';
import { CWR, FIN, PSH, TCP, UDP } from './transport.ts';

// Places of the fields that are written into each header, in halves; of the flags in bytes. They have names of this
// file, since the exports of another one would be looked up for each segment.
const TOTAL_LENGTH = IPV4.totalLength >> 1;
const ID = IPV4.id >> 1;
const IP_CHECKSUM = IPV4.checksum >> 1;
const SEQUENCE = TCP.sequence >> 1;
const FLAGS = TCP.flags;
const TCP_CHECKSUM = TCP.checksum >> 1;
const UDP_LENGTH = UDP.length >> 1;
const UDP_CHECKSUM = UDP.checksum >> 1;

// Words of a header that are copied in one step; its room is a multiple of it.
const WORDS_AT_A_TIME = 4;

/** Room for the largest headers: 60 bytes each of IPv4 and TCP, and more, so that each begins on a boundary of 64. */
export const HEADER_ROOM = 128;

/** Takes the datagrams that are cut. */
export interface DatagramSink {
  /** Where the header of the next datagram may be written, on a boundary of 16: `HEADER_ROOM` bytes. */
  headerRoom(): number;
  /**
   * Adds a datagram to the public address of a peer. Its first `headerBytes` were written into the header room that was
   * given last; 0: it has no header of its own.
   */
  add(address: number, headerBytes: number, payloadAt: number, payloadBytes: number): void;
}

export interface Segmenter {
  /**
   * Cuts the run at `at`, `length` bytes with a good IPv4 header, into packets with `segmentBytes` of payload each, and
   * gives them to the sink for `address`. Gives false and adds nothing where it is no TCP or UDP that can be cut.
   */
  segment(at: number, length: number, segmentBytes: number, address: number): boolean;
}

/** Makes a segmenter with `HEADER_ROOM` bytes at `templateAt`, on a boundary of 16. */
export function createSegmenter(
  memory: PacketMemory,
  sum: Sum,
  sink: DatagramSink,
  templateAt: number,
): Segmenter {
  return {
    segment(at, length, segmentBytes, address) {
      // The views are taken out here, not around the function: the compiler then treats them as constants in the loop.
      const { view, words, halves, bytes } = memory;
      const ipBytes = headerLength(memory, at);
      const protocol = view.getUint8(at + IPV4.protocol);
      const isTcp = protocol === PROTOCOL_TCP;
      const headerBytes = ipBytes + transportBytes(memory, at + ipBytes, protocol, length - ipBytes);
      const payload = length - headerBytes;
      if (headerBytes === ipBytes || payload <= 0 || segmentBytes <= 0) return false;

      const transportAt = templateAt + ipBytes;
      const checksumAt = ipBytes + (isTcp ? TCP.checksum : UDP.checksum);
      bytes.copyWithin(templateAt, at, at + headerBytes);
      let id = view.getUint16(at + IPV4.id);
      let sequence = isTcp ? view.getInt32(transportAt + TCP.sequence) : 0;
      const firstFlags = isTcp ? view.getUint8(transportAt + TCP.flags) : 0;
      // The fields that differ from segment to segment are 0 in the sum that is computed once.
      view.setUint16(templateAt + IPV4.totalLength, 0);
      view.setUint16(templateAt + IPV4.id, 0);
      view.setUint16(templateAt + IPV4.checksum, 0);
      view.setUint16(templateAt + checksumAt, 0);
      if (isTcp) {
        view.setUint32(transportAt + TCP.sequence, 0);
        view.setUint8(transportAt + TCP.flags, 0);
      } else {
        view.setUint16(transportAt + UDP.length, 0);
      }
      const ipSum = sumHeader(memory, templateAt, ipBytes);
      const transportSum =
        sumPseudoHeader(memory, templateAt, protocol, 0) +
        sumHeader(memory, transportAt, headerBytes - ipBytes);

      const ownBytes = headerBytes - ipBytes;
      const template = templateAt >> 2;
      const headerWords = headerBytes >> 2;
      const end = at + length;
      // Only the first segment has CWR, and only the last one FIN and PSH.
      let flags = firstFlags & ~(FIN | PSH);
      for (let payloadAt = at + headerBytes; payloadAt < end; ) {
        const left = end - payloadAt;
        const part = left < segmentBytes ? left : segmentBytes;
        const header = sink.headerRoom();
        for (let i = 0, word = header >> 2; i < headerWords; i += WORDS_AT_A_TIME) {
          words[word + i] = words[template + i] as number;
          words[word + i + 1] = words[template + i + 1] as number;
          words[word + i + 2] = words[template + i + 2] as number;
          words[word + i + 3] = words[template + i + 3] as number;
        }

        const ip = header >> 1;
        const totalLength = swap16(headerBytes + part);
        const ownId = swap16(id);
        halves[ip + TOTAL_LENGTH] = totalLength;
        halves[ip + ID] = ownId;
        halves[ip + IP_CHECKSUM] = ~fold(ipSum + totalLength + ownId);

        const transport = (header + ipBytes) >> 1;
        const partSum = transportSum + swap16(ownBytes + part) + sum(payloadAt, part);
        if (isTcp) {
          if (part === left) flags |= firstFlags & (FIN | PSH);
          const high = swap16(sequence >>> 16);
          const low = swap16(sequence);
          halves[transport + SEQUENCE] = high;
          halves[transport + SEQUENCE + 1] = low;
          bytes[header + ipBytes + FLAGS] = flags;
          halves[transport + TCP_CHECKSUM] = ~fold(partSum + high + low + (flags << 8));
          flags &= ~CWR;
          sequence = (sequence + part) | 0;
        } else {
          const datagramBytes = swap16(UDP.headerBytes + part);
          halves[transport + UDP_LENGTH] = datagramBytes;
          halves[transport + UDP_CHECKSUM] = udpChecksum(partSum + datagramBytes);
        }
        sink.add(address, headerBytes, payloadAt, part);
        payloadAt += part;
        id++;
      }
      return true;
    },
  };
}

// In UDP a checksum of 0 says that there is none. All ones is the same sum.
function udpChecksum(sum: number): number {
  const checksum = ~fold(sum) & 0xffff;
  return checksum === 0 ? 0xffff : checksum;
}

/** Bytes of a TCP or UDP header in `length` bytes; 0: it is neither, or malformed. */
export function transportBytes({ view }: PacketMemory, at: number, protocol: number, length: number): number {
  if (protocol === PROTOCOL_UDP) return length >= UDP.headerBytes ? UDP.headerBytes : 0;
  if (protocol !== PROTOCOL_TCP || length < TCP.headerBytes) return 0;
  const bytes = (view.getUint8(at + TCP.dataOffset) >> 4) << 2;
  return bytes >= TCP.headerBytes && bytes <= length ? bytes : 0;
}

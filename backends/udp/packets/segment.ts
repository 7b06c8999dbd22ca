// From one packet of the TUN device that stands for a run of TCP segments or UDP datagrams to those packets: each gets
// headers and checksums of its own, written where the sink says; the payload stays where it is.
//
// What the headers have in common is summed once: a segment's checksums are that sum, its own few fields, and the sum
// of its payload.
import { fold, type Sum, sumHeader, sumPseudoHeader, swap16 } from './checksum.ts';
import { headerLength, IPV4, PROTOCOL_TCP, PROTOCOL_UDP } from './ipv4.ts';
import type { DatagramSink } from './outbox.ts';
import { type PacketMemory, wordAt } from './packet-memory.ts';
import { CWR, FIN, PSH, TCP, UDP } from './transport.ts';

export interface Segmenter {
  /**
   * Cuts the run at `at`, `length` bytes with a good IPv4 header, into packets with `segmentBytes` of payload each, and
   * gives them to the sink for `address`. False, and nothing is sent, where it is no TCP or UDP that can be cut.
   */
  segment(at: number, length: number, segmentBytes: number, address: number): boolean;
}

/** Needs room for the largest headers (`HEADER_ROOM`) at `templateAt`, on a boundary of 4. */
export function createSegmenter(
  memory: PacketMemory,
  sum: Sum,
  sink: DatagramSink,
  templateAt: number,
): Segmenter {
  const { view, words, bytes } = memory;
  return {
    segment(at, length, segmentBytes, address) {
      const ipBytes = headerLength(memory, at);
      const protocol = view.getUint8(at + IPV4.protocol);
      const isTcp = protocol === PROTOCOL_TCP;
      const headerBytes = ipBytes + transportBytes(memory, at + ipBytes, protocol, length - ipBytes);
      const payload = length - headerBytes;
      if (headerBytes === ipBytes || payload <= 0 || segmentBytes <= 0) return false;

      const transportAt = templateAt + ipBytes;
      const checksumAt = ipBytes + (isTcp ? TCP.checksum : UDP.checksum);
      bytes.copyWithin(templateAt, at, at + headerBytes);
      const firstId = view.getUint16(at + IPV4.id);
      const firstSequence = isTcp ? view.getUint32(transportAt + TCP.sequence) : 0;
      const flags = isTcp ? view.getUint8(transportAt + TCP.flags) : 0;
      // What differs from segment to segment is 0 in what is summed once.
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

      const from = templateAt >> 2;
      const headerWords = (headerBytes + 3) >> 2;
      for (let done = 0, id = firstId; done < payload; id++) {
        const part = Math.min(segmentBytes, payload - done);
        const header = sink.headerRoom();
        for (let i = 0, to = header >> 2; i < headerWords; i++) words[to + i] = wordAt(memory, from + i);

        const total = swap16(headerBytes + part);
        const swappedId = swap16(id);
        view.setUint16(header + IPV4.totalLength, total, true);
        view.setUint16(header + IPV4.id, swappedId, true);
        view.setUint16(header + IPV4.checksum, ~fold(ipSum + total + swappedId), true);

        const transport = header + ipBytes;
        let own = swap16(headerBytes - ipBytes + part) + sum(at + headerBytes + done, part);
        if (isTcp) {
          const sequence = (firstSequence + done) | 0;
          let ownFlags = done > 0 ? flags & ~CWR : flags;
          if (done + part < payload) ownFlags &= ~(FIN | PSH);
          view.setInt32(transport + TCP.sequence, sequence);
          view.setUint8(transport + TCP.flags, ownFlags);
          own += swap16(sequence >>> 16) + swap16(sequence & 0xffff) + (ownFlags << 8);
          view.setUint16(header + checksumAt, ~fold(transportSum + own), true);
        } else {
          const datagramBytes = swap16(UDP.headerBytes + part);
          view.setUint16(transport + UDP.length, datagramBytes, true);
          view.setUint16(header + checksumAt, udpChecksum(transportSum + own + datagramBytes), true);
        }
        sink.add(address, header, headerBytes, at + headerBytes + done, part);
        done += part;
      }
      return true;
    },
  };
}

// In UDP a checksum of 0 says that there is none; its other form is all ones.
function udpChecksum(sum: number): number {
  const checksum = ~fold(sum) & 0xffff;
  return checksum === 0 ? 0xffff : checksum;
}

/** Bytes of a TCP or UDP header in `length` bytes; 0: it is neither, or broken. */
export function transportBytes({ view }: PacketMemory, at: number, protocol: number, length: number): number {
  if (protocol === PROTOCOL_UDP) return length >= UDP.headerBytes ? UDP.headerBytes : 0;
  if (protocol !== PROTOCOL_TCP || length < TCP.headerBytes) return 0;
  const bytes = (view.getUint8(at + TCP.dataOffset) >> 4) << 2;
  return bytes >= TCP.headerBytes && bytes <= length ? bytes : 0;
}

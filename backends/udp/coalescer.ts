// Merges packets of one flow that arrive in a row into one packet that stands for the run. The kernel then handles one
// packet in place of up to 45. It is the reverse of segmenting, and as strict: a packet joins only if the kernel would
// cut the very same bytes from the run again. Packets join in order; one that does not fit ends the run.
//
// The kernel takes the checksums of a run for granted, so a packet's are verified before it joins: a damaged one would
// look good afterwards. It is written by itself, and its receiver finds the damage.
import { MAX_RUN_DATAGRAMS, type PacketFile } from 'dgram-native';
import { COUNTER, type Counters } from './counters.ts';
import { EINVAL } from './errnos.ts';
import { fold, type Sum, sumHeader, sumPseudoHeader, swap16 } from './packets/checksum.ts';
import { DONT_FRAGMENT, IPV4, PROTOCOL_TCP, PROTOCOL_UDP, writeHeaderChecksum } from './packets/ipv4.ts';
import {
  GSO_ECN,
  GSO_TCP4,
  GSO_UDP,
  NEEDS_CHECKSUM,
  OFFLOAD,
  writePlainOffload,
} from './packets/offload-header.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import { transportBytes } from './packets/segment.ts';
import { CWR, FIN, PSH, RST, SYN, TCP, UDP, URG } from './packets/transport.ts';

export interface Coalescer {
  /**
   * Adds a packet of exactly `length` bytes, as it was received, where it continues the run. Gives false and changes
   * nothing where it does not.
   *
   * The packet needs no admission of its own, provided that its datagram has the sender of the run's first packet: it
   * joins only with the same version, header length, addresses, protocol and time to live and with good checksums, so
   * that every check would end as it did for the first.
   */
  joinAdmitted(at: number, length: number): boolean;
  /** Writes the run so far, and begins another with a packet that was admitted and lost its hop. */
  begin(at: number, length: number): void;
  /** Writes the run so far. Afterwards the packets' memory may be used again. */
  flush(): void;
}

export interface CoalescerParts {
  readonly memory: PacketMemory;
  readonly sum: Sum;
  readonly file: PacketFile;
  readonly counters: Counters;
  /** Which runs the device takes. */
  readonly tcpRuns: boolean;
  readonly udpRuns: boolean;
  /** Room for an offload header. */
  readonly offloadAt: number;
}

const MOST_BYTES = 65_535;

// Numbers that other files export would be looked up for each packet.
const MOST_DATAGRAMS = MAX_RUN_DATAGRAMS;

// Only packets without IP options join runs.
const IP = IPV4.headerBytes;
const PLAIN_HEADER = 0x45;

// Offsets in such a packet, under names of this file for the same reason.
const ID = IPV4.id;
const FRAGMENT = IPV4.fragment;
const HOPS = IPV4.ttl;
const IP_CHECKSUM = IPV4.checksum;
const SOURCE = IPV4.source;
const DESTINATION = IPV4.destination;
const PORTS = IP;
const SEQUENCE = IP + TCP.sequence;
const ACKNOWLEDGEMENT = IP + TCP.acknowledgement;
/** Data offset, flags and window. */
const CONTROL = IP + TCP.dataOffset;
const URGENT = IP + TCP.urgent;
const OPTIONS = IP + TCP.headerBytes;

// A packet with one of the LAST flags ends its run; one with one of the ALONE flags is in no run.
const LAST = FIN | PSH;
const ALONE = SYN | RST | URG;
/** Bits by which the flags are shifted in the word that begins with the data offset. */
const FLAGS = 16;

export function createCoalescer(parts: CoalescerParts): Coalescer {
  const { memory, sum, file, counters, offloadAt } = parts;
  const { view } = memory;
  let { tcpRuns, udpRuns } = parts;
  // The run. `head` is its first packet, and `packets` 0 where there is none.
  let packets = 0;
  let head = 0;
  let total = 0;
  let canGrow = false;
  let isTcp = false;
  let headerBytes = 0;
  let segmentBytes = 0;
  let isHeadVerified = false;
  let pseudoSum = 0;
  // The next packet must have these: its first word without the length, hops and protocol, the fragment field, and the
  // word with TCP's flags without those that may differ.
  let start = 0;
  let hopsAndProtocol = 0;
  let fragment = 0;
  let control = 0;
  // The sum of the IP header's fields that are the same in each packet.
  let ipSum = 0;
  let nextId = 0;
  let nextSequence = 0;
  let lastFlags = 0;

  const isVerified = (at: number, length: number): boolean =>
    fold(pseudoSum + swap16(length - IP) + sum(at + IP, length - IP)) === 0xffff;

  const isSameIp = (at: number, length: number, first: number): boolean => {
    if (view.getInt32(at) !== (start | length)) return false;
    if (view.getUint16(at + HOPS) !== hopsAndProtocol) return false;
    if (view.getUint16(at + FRAGMENT) !== fragment) return false;
    const id = view.getUint16(at + ID, true);
    // Where a packet may be fragmented, its identification says which fragments belong together.
    if (fragment !== DONT_FRAGMENT && id !== swap16(nextId)) return false;
    if (view.getInt32(at + SOURCE) !== view.getInt32(first + SOURCE)) return false;
    if (view.getInt32(at + DESTINATION) !== view.getInt32(first + DESTINATION)) return false;
    if (view.getInt32(at + PORTS) !== view.getInt32(first + PORTS)) return false;
    return fold(ipSum + swap16(length) + id + view.getUint16(at + IP_CHECKSUM, true)) === 0xffff;
  };

  const isSameTcp = (at: number, first: number): boolean => {
    if (view.getInt32(at + SEQUENCE) !== nextSequence) return false;
    if (view.getInt32(at + ACKNOWLEDGEMENT) !== view.getInt32(first + ACKNOWLEDGEMENT)) return false;
    if ((view.getInt32(at + CONTROL) & ~(LAST << FLAGS)) !== control) return false;
    if (view.getUint16(at + URGENT) !== view.getUint16(first + URGENT)) return false;
    const end = headerBytes;
    for (let i = OPTIONS; i < end; i += 4) {
      if (view.getInt32(at + i) !== view.getInt32(first + i)) return false;
    }
    return true;
  };

  const isUdpThatJoins = (at: number, length: number): boolean =>
    view.getUint16(at + IP + UDP.length) === length - IP && view.getUint16(at + IP + UDP.checksum) !== 0;

  const writeRunHeaders = (): void => {
    view.setUint16(head + IPV4.totalLength, total);
    writeHeaderChecksum(memory, head);
    let type = GSO_UDP;
    if (isTcp) {
      const flags = view.getUint8(head + IP + TCP.flags);
      type = (flags & CWR) === 0 ? GSO_TCP4 : GSO_TCP4 | GSO_ECN;
      view.setUint8(head + IP + TCP.flags, flags | (lastFlags & LAST));
    } else {
      view.setUint16(head + IP + UDP.length, total - IP);
    }
    const checksumOffset = isTcp ? TCP.checksum : UDP.checksum;
    view.setUint16(head + IP + checksumOffset, fold(pseudoSum + swap16(total - IP)), true);
    view.setUint8(offloadAt + OFFLOAD.flags, NEEDS_CHECKSUM);
    view.setUint8(offloadAt + OFFLOAD.type, type);
    view.setUint16(offloadAt + OFFLOAD.headerLength, headerBytes, true);
    view.setUint16(offloadAt + OFFLOAD.segmentSize, segmentBytes, true);
    view.setUint16(offloadAt + OFFLOAD.checksumStart, IP, true);
    view.setUint16(offloadAt + OFFLOAD.checksumOffset, checksumOffset, true);
  };

  // A kernel that turns out not to take runs loses the first one, and gets no other.
  const takeRefusal = (errno: number): void => {
    for (let i = 0; i < packets; i++) counters.drop('tun_refused');
    if (errno !== EINVAL || packets === 1) return;
    if (isTcp) tcpRuns = false;
    else udpRuns = false;
    counters.add(COUNTER.merging_lost, 1);
  };

  const flush = (): void => {
    if (packets === 0) return;
    if (packets === 1) {
      writePlainOffload(memory, offloadAt);
    } else {
      writeRunHeaders();
      counters.add(COUNTER.tun_written_runs, 1);
    }
    counters.add(COUNTER.tun_writes, 1);
    const written = file.write();
    if (written < 0) takeRefusal(-written);
    packets = 0;
    canGrow = false;
  };

  return {
    joinAdmitted(at, length) {
      const payload = length - headerBytes;
      if (!canGrow || payload <= 0 || payload > segmentBytes || total + payload > MOST_BYTES) return false;
      if (file.freePieces() === 0 || !isSameIp(at, length, head)) return false;
      if (isTcp ? !isSameTcp(at, head) : packets === MOST_DATAGRAMS || !isUdpThatJoins(at, length))
        return false;
      if (!isHeadVerified) {
        isHeadVerified = isVerified(head, total);
        canGrow = isHeadVerified;
      }
      if (!canGrow || !isVerified(at, length)) return false;

      file.append(at + headerBytes, payload);
      packets++;
      total += payload;
      nextId = (nextId + 1) & 0xffff;
      if (isTcp) {
        nextSequence = (nextSequence + payload) | 0;
        lastFlags = view.getUint8(at + IP + TCP.flags);
        canGrow = (lastFlags & LAST) === 0;
      }
      if (payload < segmentBytes) canGrow = false;
      return true;
    },
    begin(at, length) {
      flush();
      file.clear();
      file.append(offloadAt, OFFLOAD.bytes);
      file.append(at, length);
      packets = 1;
      head = at;
      total = length;
      canGrow = false;
      if (view.getUint8(at) !== PLAIN_HEADER) return;
      fragment = view.getUint16(at + IPV4.fragment);
      if ((fragment & ~DONT_FRAGMENT) !== 0) return;
      const protocol = view.getUint8(at + IPV4.protocol);
      isTcp = protocol === PROTOCOL_TCP;
      if (isTcp ? !tcpRuns : protocol !== PROTOCOL_UDP || !udpRuns) return;
      const transport = transportBytes(memory, at + IP, protocol, length - IP);
      headerBytes = IP + transport;
      segmentBytes = length - headerBytes;
      if (transport === 0 || segmentBytes <= 0) return;
      if (isTcp) {
        lastFlags = view.getUint8(at + IP + TCP.flags);
        nextSequence = (view.getInt32(at + IP + TCP.sequence) + segmentBytes) | 0;
        control = view.getInt32(at + IP + TCP.dataOffset) & ~(CWR << FLAGS);
        if ((lastFlags & (LAST | ALONE)) !== 0) return;
      } else if (!isUdpThatJoins(at, length)) {
        return;
      }
      // As it was received: this packet has lost a hop since.
      hopsAndProtocol = view.getUint16(at + IPV4.ttl) + 0x100;
      start = view.getUint16(at) << 16;
      ipSum =
        swap16(start >>> 16) +
        swap16(fragment) +
        swap16(hopsAndProtocol) +
        sumHeader(memory, at + IPV4.source, 8);
      nextId = (view.getUint16(at + IPV4.id) + 1) & 0xffff;
      pseudoSum = sumPseudoHeader(memory, at, protocol, 0);
      isHeadVerified = false;
      canGrow = true;
    },
    flush,
  };
}

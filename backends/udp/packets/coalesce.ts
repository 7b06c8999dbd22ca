// From packets of one flow that arrive one after the other to one packet that stands for the run, which passes through
// the kernel in one go: up to 45 times less work there. The reverse of segmenting, and as strict: only what the kernel
// would make again from the run, byte for byte, is put into it. Packets join in order; what does not fit ends the run.
//
// The kernel takes the checksums of a run for granted, so those inside are verified first: a damaged packet would look
// good afterwards. It goes by itself, and whom it is for finds out.
import type { PacketFile } from 'dgram-native';
import { COUNTER, type Counters } from '../counters.ts';
import { fold, type Sum, sumHeader, sumPseudoHeader, swap16 } from './checksum.ts';
import { DONT_FRAGMENT, IPV4, PROTOCOL_TCP, PROTOCOL_UDP, writeHeaderChecksum } from './ipv4.ts';
import { GSO_ECN, GSO_TCP4, GSO_UDP, NEEDS_CHECKSUM, OFFLOAD, writePlainOffload } from './offload-header.ts';
import type { PacketMemory } from './packet-memory.ts';
import { transportBytes } from './segment.ts';
import { CWR, FIN, PSH, RST, SYN, TCP, UDP, URG } from './transport.ts';

export interface Coalescer {
  /**
   * Adds a packet of exactly `length` bytes as it came, if it goes on with the run; false, and nothing is changed,
   * where it does not. What was found out about the first packet holds for it too: header, addresses, time to live.
   */
  join(at: number, length: number): boolean;
  /** Writes the run so far and begins another with this packet: good, let in, and one hop already taken from it. */
  begin(at: number, length: number): void;
  /** Writes the run so far; after it the packets' memory may be used again. */
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

// The kernel refuses longer runs of UDP: of more than 64 before version 6.11, of more than 128 since.
const MOST_DATAGRAMS = 64;

const EINVAL = 22;

// Only packets without IP options join runs.
const IP = IPV4.headerBytes;
const PLAIN_HEADER = 0x45;

// Offsets in such a packet, for what is looked at in each: what other files export has to be looked up each time.
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

// Flags with which nothing can follow in a run, and those with which a packet is in no run at all.
const LAST = FIN | PSH;
const ALONE = SYN | RST | URG;
/** Bits that the flags are shifted by in the word that begins with the data offset. */
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
  // What the next packet has to have: its first word, less the length; hops and protocol; the word of fragments; of TCP
  // the word with the flags, less those that may differ.
  let start = 0;
  let hopsAndProtocol = 0;
  let fragment = 0;
  let control = 0;
  // The sum of all in an IP header that is the same in each.
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
    // Where a packet may be fragmented its number says which fragments belong together.
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

  // A kernel that does not take runs after all loses the first one, and is given no other.
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
    join(at, length) {
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
      // As it is on the wire: this packet's last hop is already taken.
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

// From the TUN device to the peers: reads packets, finds the peer of each, and puts them into the outbox, cut into
// segments and with complete checksums.
import type { PacketFile } from 'dgram-native';
import { COUNTER, type Counters } from './counters.ts';
import { createFailureLimit } from './failures.ts';
import type { Outbox } from './outbox.ts';
import type { Oversize } from './oversize.ts';
import type { Sum } from './packets/checksum.ts';
import { forbidsFragments } from './packets/fragment.ts';
import { FRAGMENTATION_NEEDED, NET_UNREACHABLE, TIME_EXCEEDED } from './packets/icmp.ts';
import {
  addressAt,
  findHeaderFault,
  headerLength,
  IPV4,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  takeHop,
} from './packets/ipv4.ts';
import { GSO_ECN, GSO_NONE, GSO_TCP4, GSO_UDP, NEEDS_CHECKSUM, OFFLOAD } from './packets/offload-header.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import { type Segmenter, transportBytes } from './packets/segment.ts';
import type { PathLimits } from './path-limits.ts';
import type { PeerRoutes } from './peer-routes.ts';
import type { Reporter } from './reporter.ts';

export interface OutboundParts {
  readonly memory: PacketMemory;
  readonly sum: Sum;
  readonly file: PacketFile;
  readonly outbox: Outbox;
  readonly segmenter: Segmenter;
  readonly oversize: Oversize;
  readonly reporter: Reporter;
  readonly routes: Pick<PeerRoutes, 'lookup'>;
  readonly paths: PathLimits;
  readonly counters: Counters;
  /**
   * Memory that packets are read into, on a boundary of 64: `READ_ROOM` bytes for each run that leaves in one flush.
   */
  readonly roomAt: number;
  readonly roomBytes: number;
}

export interface Outbound {
  /** Moves at most `reads` packets or runs, and gives their number. Fewer mean that none is left. Fails as `host`. */
  turn(reads: number): number;
}

// The kernel copies faster to the beginning of a line of the processor's cache. After this padding the payload of most
// TCP packets begins there. The packet lies on a boundary of 4.
const LINE = 64;
const TCP_WITH_TIME_STAMPS = 32;
const PADDING = LINE - OFFLOAD.bytes - IPV4.headerBytes - TCP_WITH_TIME_STAMPS;
const LARGEST_READ = OFFLOAD.bytes + 65_536;

/** Room for the largest packet that a TUN device gives. */
export const READ_ROOM: number = lineAfter(PADDING + LARGEST_READ);

export function createOutbound(parts: OutboundParts): Outbound {
  const { memory, file, outbox, segmenter, oversize, reporter, routes, paths, counters, roomAt, roomBytes } =
    parts;
  const { view } = memory;
  const fail = createFailureLimit('the TUN device');

  const run = (
    offloadAt: number,
    at: number,
    length: number,
    address: number,
    limit: number | undefined,
  ): void => {
    const type = view.getUint8(offloadAt + OFFLOAD.type) & ~GSO_ECN;
    const segmentBytes = view.getUint16(offloadAt + OFFLOAD.segmentSize, true);
    const protocol = view.getUint8(at + IPV4.protocol);
    if (protocol === PROTOCOL_TCP ? type !== GSO_TCP4 : protocol !== PROTOCOL_UDP || type !== GSO_UDP) {
      counters.drop('offload');
      return;
    }
    if (limit !== undefined && forbidsFragments(memory, at)) {
      const ipBytes = headerLength(memory, at);
      const headers = ipBytes + transportBytes(memory, at + ipBytes, protocol, length - ipBytes);
      if (Math.min(headers + segmentBytes, length) > limit) {
        counters.drop('too_big');
        reporter.toHost(FRAGMENTATION_NEEDED, at, length, limit);
        return;
      }
    }
    counters.add(COUNTER.tun_read_runs, 1);
    if (!segmenter.segment(at, length, segmentBytes, address)) counters.drop('offload');
  };

  const packet = (offloadAt: number, at: number, bytes: number): void => {
    const fault = findHeaderFault(memory, at, bytes);
    if (fault !== undefined) {
      counters.drop(fault);
      return;
    }
    const length = view.getUint16(at + IPV4.totalLength);
    const address = routes.lookup(addressAt(memory, at + IPV4.destination));
    if (address === 0) {
      counters.drop('no_route');
      reporter.toHost(NET_UNREACHABLE, at, length);
      return;
    }
    if (!takeHop(memory, at)) {
      counters.drop('hops');
      reporter.toHost(TIME_EXCEEDED, at, length);
      return;
    }
    const limit = paths.isEmpty() ? undefined : paths.limitOf(address);
    if (view.getUint8(offloadAt + OFFLOAD.type) !== GSO_NONE) {
      run(offloadAt, at, length, address, limit);
    } else if (!completeChecksum(parts, offloadAt, at, length)) {
      counters.drop('offload');
    } else if (limit !== undefined && length > limit) {
      outbox.flush();
      oversize(address, 0, 0, at, length, limit);
    } else {
      outbox.add(address, 0, at, length);
    }
  };

  return {
    turn(reads) {
      const end = roomAt + roomBytes;
      let at = roomAt;
      let done = 0;
      for (; done < reads; done++) {
        if (end - at < READ_ROOM) {
          outbox.flush();
          at = roomAt;
        }
        const offloadAt = at + PADDING;
        const bytes = file.read(offloadAt, LARGEST_READ);
        if (bytes === 0) break;
        if (bytes < 0) {
          counters.drop('offload');
          fail(-bytes);
          continue;
        }
        packet(offloadAt, offloadAt + OFFLOAD.bytes, bytes - OFFLOAD.bytes);
        at = lineAfter(offloadAt + bytes);
      }
      if (done > 0) {
        counters.add(COUNTER.tun_reads, done);
        outbox.flush();
      }
      return done;
    },
  };
}

function lineAfter(at: number): number {
  return (at + LINE - 1) & -LINE;
}

// Completes the checksum where the kernel left that to us: of TCP or UDP, or of a packet in a tunnel inside this one.
function completeChecksum(
  { memory, sum }: Pick<OutboundParts, 'memory' | 'sum'>,
  offloadAt: number,
  at: number,
  length: number,
): boolean {
  const { view } = memory;
  if ((view.getUint8(offloadAt + OFFLOAD.flags) & NEEDS_CHECKSUM) === 0) return true;
  const start = view.getUint16(offloadAt + OFFLOAD.checksumStart, true);
  const offset = view.getUint16(offloadAt + OFFLOAD.checksumOffset, true);
  if (start < headerLength(memory, at) || start + offset + 2 > length) return false;
  const checksum = ~sum(at + start, length - start) & 0xffff;
  // All ones is the same sum, and in UDP 0 would mean that there is no checksum.
  view.setUint16(at + start + offset, checksum === 0 ? 0xffff : checksum, true);
  return true;
}

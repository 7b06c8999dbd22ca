// Packets that are larger than the path to their peer. Where the packet forbids fragments, its sender gets an ICMP
// error; otherwise it is cut into fragments. This is rare and slow, so a packet may be copied here.
import { COUNTER, type Counters } from './counters.ts';
import { FRAGMENT_HEADER_ROOM, forbidsFragments, fragmentPacket } from './packets/fragment.ts';
import { FRAGMENTATION_NEEDED } from './packets/icmp.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import type { Reporter } from './reporter.ts';
import type { Singles } from './singles.ts';

/**
 * Takes a packet that is larger than the path to `address`, which takes `limitBytes`. Its bytes may change afterwards.
 */
export type Oversize = (
  address: number,
  headerAt: number,
  headerBytes: number,
  payloadAt: number,
  payloadBytes: number,
  limitBytes: number,
) => void;

export interface OversizeParts {
  readonly memory: PacketMemory;
  readonly singles: Singles;
  readonly reporter: Pick<Reporter, 'toHost'>;
  readonly counters: Counters;
  /** `OVERSIZE_ROOM` bytes on a boundary of 16. */
  readonly roomAt: number;
}

const HEADERS = 64;
const HEADERS_BYTES = HEADERS * FRAGMENT_HEADER_ROOM;

/** Bytes of its memory: headers of fragments, and one whole packet. */
export const OVERSIZE_ROOM: number = HEADERS_BYTES + 65_536;

export function createOversize({ memory, singles, reporter, counters, roomAt }: OversizeParts): Oversize {
  const { bytes } = memory;
  const packetAt = roomAt + HEADERS_BYTES;
  const headerRoom = (i: number): number => {
    if (i % HEADERS === 0 && i > 0) singles.flush();
    return roomAt + (i % HEADERS) * FRAGMENT_HEADER_ROOM;
  };

  return (address, headerAt, headerBytes, payloadAt, payloadBytes, limitBytes) => {
    const length = headerBytes + payloadBytes;
    let at = payloadAt;
    if (headerBytes > 0) {
      at = packetAt;
      bytes.copyWithin(at, headerAt, headerAt + headerBytes);
      bytes.copyWithin(at + headerBytes, payloadAt, payloadAt + payloadBytes);
    }
    if (forbidsFragments(memory, at)) {
      counters.drop('too_big');
      reporter.toHost(FRAGMENTATION_NEEDED, at, length, limitBytes);
      return;
    }
    counters.add(COUNTER.fragmented_packets, 1);
    fragmentPacket(memory, at, limitBytes, headerRoom, (fragmentAt, ipBytes, partAt, partBytes) =>
      singles.add(address, fragmentAt, ipBytes, partAt, partBytes),
    );
    singles.flush();
  };
}

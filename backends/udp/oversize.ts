// Packets that are larger than the path to their peer: the sender is told, or, where it did not forbid it, they are cut
// into fragments. Rare and slow, so a packet may be copied here.
import { COUNTER, type Counters } from './counters.ts';
import { FRAGMENT_HEADER_ROOM, forbidsFragments, fragmentPacket } from './packets/fragment.ts';
import { FRAGMENTATION_NEEDED } from './packets/icmp.ts';
import type { Outbox, TakeTooBig } from './packets/outbox.ts';
import type { PacketMemory } from './packets/packet-memory.ts';
import type { Reporter } from './reporter.ts';

export interface OversizeParts {
  readonly memory: PacketMemory;
  readonly outbox: Pick<Outbox, 'sendAlone' | 'settle'>;
  readonly reporter: Pick<Reporter, 'toHost'>;
  readonly counters: Counters;
  /** `OVERSIZE_ROOM` bytes on a boundary of 16. */
  readonly roomAt: number;
}

const HEADERS = 64;
const HEADERS_BYTES = HEADERS * FRAGMENT_HEADER_ROOM;

/** Room that it needs: headers of fragments, and one whole packet. */
export const OVERSIZE_ROOM: number = HEADERS_BYTES + 65_536;

/** Makes what takes such packets. What it sends waits for the outbox to settle. */
export function createOversize({ memory, outbox, reporter, counters, roomAt }: OversizeParts): TakeTooBig {
  const { bytes } = memory;
  const packetAt = roomAt + HEADERS_BYTES;
  const headerRoom = (i: number): number => {
    if (i % HEADERS === 0 && i > 0) outbox.settle();
    return roomAt + (i % HEADERS) * FRAGMENT_HEADER_ROOM;
  };

  return (address, headerAt, headerBytes, payloadAt, payloadBytes, limitBytes) => {
    // Fragments of the last packet may still lie in the room.
    outbox.settle();
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
    fragmentPacket(memory, at, limitBytes, headerRoom, (fragmentAt, ipBytes, partAt, partBytes) => {
      outbox.sendAlone(address, fragmentAt, ipBytes, partAt, partBytes);
      counters.add(COUNTER.sent_packets, 1);
      counters.add(COUNTER.sent_bytes, ipBytes + partBytes);
    });
  };
}

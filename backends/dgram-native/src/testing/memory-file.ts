// A packet file whose descriptor is a device in memory.
import { checkCount, checkRange } from '../arena.ts';
import type { Arena, PacketFile } from '../contract.ts';
import { EINVAL, UIO_MAXIOV } from '../numbers.ts';
import { createPieceRecord, type Pieces } from './pieces.ts';

/** A header of 10 bytes and the longest IPv4 packet. */
const MAX_PACKET_BYTES = 10 + 65_535;

/** The descriptor: it gives and takes packets. */
export interface MemoryDevice {
  /** Reads one packet to `at` in the arena. Gives its bytes, 0 where none waits, or minus an errno. */
  read: (at: number, maxBytes: number) => number;
  /** Takes one packet. Gives its bytes, or minus an errno. */
  write: (pieces: Pieces) => number;
}

/** A TUN device: gives the packets of one list and adds to another; EINVAL where a packet is too long. */
export interface MemoryTun extends MemoryDevice {
  readonly waiting: Uint8Array[];
  readonly written: Uint8Array[];
  /** Takes the written packets out of their list. */
  take(): Uint8Array[];
}

/** Makes a packet file for a device in memory, for packets of at most `pieces`. It takes nothing of the arena. */
export function createMemoryFile(arena: Arena, device: MemoryDevice, pieces: number): PacketFile {
  const capacity = checkCount('pieces', pieces, UIO_MAXIOV);
  const record = createPieceRecord(arena, capacity);
  return {
    read(offset, maxBytes) {
      checkRange(arena, offset, maxBytes);
      return device.read(offset, maxBytes);
    },
    clear: () => record.clear(),
    append: (offset, length) => record.append(offset, length),
    freePieces: () => capacity - record.count(),
    write() {
      const packet = record.between(0, record.count());
      record.clear();
      return device.write(packet);
    },
  };
}

/** Makes a device whose packets are in lists. */
export function createMemoryTun(arena: Arena): MemoryTun {
  const tun: MemoryTun = {
    waiting: [],
    written: [],
    take: () => tun.written.splice(0),
    read(at, maxBytes) {
      const packet = tun.waiting.shift()?.subarray(0, maxBytes);
      if (packet === undefined) return 0;
      arena.u8.set(packet, at);
      return packet.length;
    },
    write(pieces) {
      if (pieces.bytes() > MAX_PACKET_BYTES) return -EINVAL;
      tun.written.push(pieces.gather());
      return pieces.bytes();
    },
  };
  return tun;
}

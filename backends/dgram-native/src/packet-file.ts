// Reads and writes a descriptor that gives and takes whole packets, such as a TUN device's.
import { addressOfArena, arenaBytes, checkCount, checkRange } from './arena.ts';
import type { Arena, PacketFile } from './contract.ts';
import { PIECE } from './layout.ts';
import { libc } from './libc.ts';
import { EAGAIN, EINTR, UIO_MAXIOV } from './numbers.ts';
import { createPieceTable } from './piece-table.ts';

/** Bytes of the arena that a packet file of so many pieces reserves. */
export function packetFileBytes(pieces: number): number {
  return arenaBytes(pieces * PIECE.bytes, PIECE.bytes);
}

/**
 * Makes a packet file for a descriptor that does not block, for packets of at most `pieces` (1 to 1024), with
 * `packetFileBytes` of the arena. It belongs to one thread.
 */
export function createPacketFile(arena: Arena, fd: number, pieces: number): PacketFile {
  const maxPieces = checkCount('pieces', pieces, UIO_MAXIOV);
  const { u32 } = arena;
  const { base, low, high } = addressOfArena(arena);
  const { readv, writev, errno: lastErrno } = libc();
  const table = createPieceTable(arena, maxPieces);
  const tableAddress = base + BigInt(table.at);
  // The one piece that is read into.
  const readAt = arena.reserve(PIECE.bytes);
  const readAddress = base + BigInt(readAt);
  u32[(readAt + PIECE.address + 4) >>> 2] = high;

  return {
    read(offset, maxBytes) {
      checkRange(arena, offset, maxBytes);
      u32[(readAt + PIECE.address) >>> 2] = low + offset;
      u32[(readAt + PIECE.length) >>> 2] = maxBytes;
      for (;;) {
        // With readv, since read would need the address of the room, computed for each call.
        const bytes = readv(fd, readAddress, 1);
        if (bytes >= 0) return bytes;
        const errno = lastErrno();
        if (errno === EAGAIN) return 0;
        if (errno !== EINTR) return -errno;
      }
    },
    clear: () => table.clear(),
    append: (offset, length) => table.append(offset, length),
    freePieces: () => maxPieces - table.count(),
    write() {
      const written = table.count();
      table.clear();
      for (;;) {
        const bytes = writev(fd, tableAddress, written);
        if (bytes >= 0) return bytes;
        const errno = lastErrno();
        if (errno !== EINTR) return -errno;
      }
    },
  };
}

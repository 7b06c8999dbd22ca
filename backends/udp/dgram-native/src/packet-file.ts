// Reads and writes a descriptor whose reads and writes are whole packets, such as a TUN device's.
import { type ArenaAddress, addressOfArena, checkCount, checkRange } from './arena.ts';
import type { Arena, PacketFile } from './contract.ts';
import { PIECE } from './layout.ts';
import { type Libc, libc } from './libc.ts';
import { EAGAIN, EINTR, UIO_MAXIOV } from './numbers.ts';

/** Makes a packet file for a descriptor that does not block, with a table of at most `pieces` (1 to 1024) in the arena. */
export function createPacketFile(arena: Arena, fd: number, pieces: number): PacketFile {
  return new KernelPacketFile(arena, fd, checkCount('pieces', pieces, UIO_MAXIOV));
}

class KernelPacketFile implements PacketFile {
  readonly #arena: Arena;
  readonly #fd: number;
  readonly #libc: Libc;
  readonly #address: ArenaAddress;
  readonly #maxPieces: number;
  readonly #piecesAt: number;
  // The table of what is written, and behind it the one piece that is read.
  readonly #table: bigint;
  readonly #readAt: number;
  readonly #readPiece: bigint;
  #pieces = 0;

  constructor(arena: Arena, fd: number, pieces: number) {
    this.#arena = arena;
    this.#fd = fd;
    this.#libc = libc();
    this.#address = addressOfArena(arena);
    this.#maxPieces = pieces;
    this.#piecesAt = arena.reserve((pieces + 1) * PIECE.bytes);
    this.#table = this.#address.base + BigInt(this.#piecesAt);
    this.#readAt = this.#piecesAt + pieces * PIECE.bytes;
    this.#readPiece = this.#address.base + BigInt(this.#readAt);
    for (let i = 0; i <= pieces; i += 1) {
      arena.u32[(this.#piecesAt + i * PIECE.bytes + PIECE.address + 4) >>> 2] = this.#address.high;
    }
  }

  get freePieces(): number {
    return this.#maxPieces - this.#pieces;
  }

  read(offset: number, maxBytes: number): number {
    checkRange(this.#arena, offset, maxBytes);
    const { u32 } = this.#arena;
    u32[(this.#readAt + PIECE.address) >>> 2] = this.#address.low + offset;
    u32[(this.#readAt + PIECE.length) >>> 2] = maxBytes;
    for (;;) {
      // Not read: its address would have to be made for each call.
      const bytes = this.#libc.readv(this.#fd, this.#readPiece, 1);
      if (bytes >= 0) return bytes;
      const errno = this.#libc.errno();
      if (errno === EAGAIN) return 0;
      if (errno !== EINTR) return -errno;
    }
  }

  clear(): void {
    this.#pieces = 0;
  }

  append(offset: number, length: number): void {
    if (this.#pieces === this.#maxPieces)
      throw new RangeError(`no room for more than ${this.#pieces} pieces`);
    checkRange(this.#arena, offset, length);
    const { u32 } = this.#arena;
    const piece = this.#piecesAt + this.#pieces * PIECE.bytes;
    u32[(piece + PIECE.address) >>> 2] = this.#address.low + offset;
    u32[(piece + PIECE.length) >>> 2] = length;
    this.#pieces += 1;
  }

  write(): number {
    const pieces = this.#pieces;
    this.#pieces = 0;
    for (;;) {
      const bytes = this.#libc.writev(this.#fd, this.#table, pieces);
      if (bytes >= 0) return bytes;
      const errno = this.#libc.errno();
      if (errno !== EINTR) return -errno;
    }
  }
}

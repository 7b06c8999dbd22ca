// Cuts a run into its datagrams where the kernel cannot: a table of messages and pieces of its own, in which each
// datagram is the pieces, or parts of pieces, that it lies in. No byte of a packet is copied.
import { type ArenaAddress, addressesOfTable, addressOfArena } from './arena.ts';
import type { Arena } from './contract.ts';
import { MESSAGE, NAME, PIECE } from './layout.ts';
import { type Libc, libc } from './libc.ts';
import { EAGAIN, EINTR, MSG_DONTWAIT } from './numbers.ts';

const BATCH = 64;

export class DatagramCutter {
  readonly #arena: Arena;
  readonly #libc: Libc;
  readonly #address: ArenaAddress;
  readonly #headersAt: number;
  readonly #headers: readonly bigint[];
  readonly #piecesAt: number;
  readonly #runPieces: number;
  readonly #maxPieces: number;
  #datagrams = 0;
  #pieces = 0;
  #errno = 0;

  /** `runPieces` is the most pieces that a run has, and so the most that one datagram has. */
  constructor(arena: Arena, runPieces: number) {
    this.#arena = arena;
    this.#libc = libc();
    this.#address = addressOfArena(arena);
    this.#runPieces = runPieces;
    this.#maxPieces = runPieces + Math.max(runPieces, BATCH);
    this.#headersAt = arena.reserve(BATCH * MESSAGE.bytes);
    this.#headers = addressesOfTable(this.#address.base, this.#headersAt, MESSAGE.bytes, BATCH);
    this.#piecesAt = arena.reserve(this.#maxPieces * PIECE.bytes);
  }

  /**
   * Sends the message at offset `run` in datagrams of `segmentBytes`. Gives the first errno of those that were refused;
   * 0: all were sent. When the buffer is full the rest is given up.
   */
  send(fd: number, run: number, segmentBytes: number): number {
    const { u32 } = this.#arena;
    const { low } = this.#address;
    this.#errno = 0;
    let piece = (u32[(run + MESSAGE.pieces) >>> 2] as number) - low;
    let room = 0;
    for (let n = u32[(run + MESSAGE.pieceCount) >>> 2] as number; n > 0; n -= 1) {
      // Offsets, not addresses, are handed on: half an address is a number that may be allocated for it.
      let offset = (u32[(piece + PIECE.address) >>> 2] as number) - low;
      let left = u32[(piece + PIECE.length) >>> 2] as number;
      while (left > 0) {
        if (room === 0) {
          if (this.#datagrams === BATCH || this.#maxPieces - this.#pieces < this.#runPieces) this.#flush(fd);
          if (this.#errno === EAGAIN) return this.#errno;
          this.#begin(run);
          room = segmentBytes;
        }
        const length = left < room ? left : room;
        this.#append(offset, length);
        offset += length;
        left -= length;
        room -= length;
      }
      piece += PIECE.bytes;
    }
    this.#flush(fd);
    return this.#errno;
  }

  #begin(run: number): void {
    const { u32 } = this.#arena;
    const { low, high } = this.#address;
    const header = this.#headersAt + this.#datagrams * MESSAGE.bytes;
    u32[(header + MESSAGE.name) >>> 2] = u32[(run + MESSAGE.name) >>> 2] as number;
    u32[(header + MESSAGE.name + 4) >>> 2] = high;
    u32[(header + MESSAGE.nameLength) >>> 2] = NAME.bytes;
    u32[(header + MESSAGE.pieces) >>> 2] = low + this.#piecesAt + this.#pieces * PIECE.bytes;
    u32[(header + MESSAGE.pieces + 4) >>> 2] = high;
    u32[(header + MESSAGE.pieceCount) >>> 2] = 0;
    this.#datagrams += 1;
  }

  #append(offset: number, length: number): void {
    const { u32 } = this.#arena;
    const header = this.#headersAt + (this.#datagrams - 1) * MESSAGE.bytes;
    const piece = this.#piecesAt + this.#pieces * PIECE.bytes;
    u32[(piece + PIECE.address) >>> 2] = this.#address.low + offset;
    u32[(piece + PIECE.address + 4) >>> 2] = this.#address.high;
    u32[(piece + PIECE.length) >>> 2] = length;
    u32[(header + MESSAGE.pieceCount) >>> 2] = (u32[(header + MESSAGE.pieceCount) >>> 2] as number) + 1;
    this.#pieces += 1;
  }

  #flush(fd: number): void {
    let i = 0;
    while (i < this.#datagrams) {
      const headers = this.#headers[i] as bigint;
      const sent = this.#libc.sendmmsg(fd, headers, this.#datagrams - i, MSG_DONTWAIT);
      if (sent > 0) {
        i += sent;
        continue;
      }
      const errno = sent < 0 ? this.#libc.errno() : EAGAIN;
      if (errno === EINTR) continue;
      if (this.#errno === 0 || errno === EAGAIN) this.#errno = errno;
      if (errno === EAGAIN) break;
      i += 1;
    }
    this.#datagrams = 0;
    this.#pieces = 0;
  }
}

// Cuts a run into its datagrams where the kernel cannot. It has a table of messages and pieces of its own, in which
// each datagram is the pieces, or parts of pieces, that it lies in. No byte of a packet is copied.
import { addressesOfTable, addressOfArena, arenaBytes } from './arena.ts';
import type { Arena } from './contract.ts';
import { MESSAGE, PIECE } from './layout.ts';
import { libc } from './libc.ts';
import { EAGAIN, EINTR, MSG_DONTWAIT } from './numbers.ts';

const BATCH = 64;

export interface DatagramCutter {
  /**
   * Sends the message at offset `run` in datagrams of `segmentBytes`. Gives the first errno of a refused datagram; 0:
   * all were sent. When the socket's buffer is full the rest is given up.
   */
  send(fd: number, run: number, segmentBytes: number): number;
}

// A datagram has at most as many pieces as the run, and must find room for them when it is begun.
const piecesFor = (runPieces: number): number => runPieces + Math.max(runPieces, BATCH);

/** Bytes of the arena that a cutter reserves. */
export function cutterBytes(runPieces: number): number {
  return arenaBytes(BATCH * MESSAGE.bytes, piecesFor(runPieces) * PIECE.bytes);
}

/** Makes a cutter for runs of at most `runPieces` pieces. */
export function createDatagramCutter(arena: Arena, runPieces: number): DatagramCutter {
  const { u32 } = arena;
  const { base, low, high } = addressOfArena(arena);
  const { sendmmsg, errno: lastErrno } = libc();
  const maxPieces = piecesFor(runPieces);
  const headersAt = arena.reserve(BATCH * MESSAGE.bytes);
  const headers = addressesOfTable(base, headersAt, MESSAGE.bytes, BATCH);
  const piecesAt = arena.reserve(maxPieces * PIECE.bytes);
  let datagrams = 0;
  let pieces = 0;
  let firstErrno = 0;

  const begin = (run: number): void => {
    const header = headersAt + datagrams * MESSAGE.bytes;
    for (let at = MESSAGE.endpoint; at < MESSAGE.pieces; at += 4) {
      u32[(header + at) >>> 2] = u32[(run + at) >>> 2] as number;
    }
    u32[(header + MESSAGE.pieces) >>> 2] = low + piecesAt + pieces * PIECE.bytes;
    u32[(header + MESSAGE.pieces + 4) >>> 2] = high;
    u32[(header + MESSAGE.pieceCount) >>> 2] = 0;
    datagrams += 1;
  };

  const append = (offset: number, length: number): void => {
    const header = headersAt + (datagrams - 1) * MESSAGE.bytes;
    const piece = piecesAt + pieces * PIECE.bytes;
    u32[(piece + PIECE.address) >>> 2] = low + offset;
    u32[(piece + PIECE.address + 4) >>> 2] = high;
    u32[(piece + PIECE.length) >>> 2] = length;
    u32[(header + MESSAGE.pieceCount) >>> 2] = (u32[(header + MESSAGE.pieceCount) >>> 2] as number) + 1;
    pieces += 1;
  };

  const flush = (fd: number): void => {
    let i = 0;
    while (i < datagrams) {
      const sent = sendmmsg(fd, headers[i] as bigint, datagrams - i, MSG_DONTWAIT);
      if (sent > 0) {
        i += sent;
        continue;
      }
      const errno = sent < 0 ? lastErrno() : EAGAIN;
      if (errno === EINTR) continue;
      if (firstErrno === 0 || errno === EAGAIN) firstErrno = errno;
      if (errno === EAGAIN) break;
      i += 1;
    }
    datagrams = 0;
    pieces = 0;
  };

  return {
    send(fd, run, segmentBytes) {
      firstErrno = 0;
      let piece = (u32[(run + MESSAGE.pieces) >>> 2] as number) - low;
      let room = 0;
      for (let n = u32[(run + MESSAGE.pieceCount) >>> 2] as number; n > 0; n -= 1) {
        // Offsets, not addresses, are handed on: half an address is a number that may have to be allocated.
        let offset = (u32[(piece + PIECE.address) >>> 2] as number) - low;
        let left = u32[(piece + PIECE.length) >>> 2] as number;
        while (left > 0) {
          if (room === 0) {
            if (datagrams === BATCH || maxPieces - pieces < runPieces) flush(fd);
            if (firstErrno === EAGAIN) return firstErrno;
            begin(run);
            room = segmentBytes;
          }
          const length = left < room ? left : room;
          append(offset, length);
          offset += length;
          left -= length;
          room -= length;
        }
        piece += PIECE.bytes;
      }
      flush(fd);
      return firstErrno;
    },
  };
}

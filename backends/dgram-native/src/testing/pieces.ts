// The pieces that a double was given, with the checks of the real table.
import { checkRange } from '../arena.ts';
import type { Arena } from '../contract.ts';

/** The pieces of one message or packet. Valid during the call that it is handed to. */
export interface Pieces {
  count(): number;
  offset(i: number): number;
  length(i: number): number;
  /** Bytes of all pieces. */
  bytes(): number;
  /** A copy of all bytes, in order. */
  gather(): Uint8Array;
}

export interface PieceRecord {
  /** Throws a RangeError where the table is full or the bytes are outside the arena. */
  append(offset: number, length: number): void;
  count(): number;
  clear(): void;
  /** The pieces from `first` to before `end`. It is the same object each time. */
  between(first: number, end: number): Pieces;
}

export function createPieceRecord(arena: Arena, capacity: number): PieceRecord {
  const offsets = new Uint32Array(capacity);
  const lengths = new Uint32Array(capacity);
  let count = 0;
  let [first, end] = [0, 0];
  const pieces: Pieces = {
    count: () => end - first,
    offset: (i) => offsets[first + i] ?? 0,
    length: (i) => lengths[first + i] ?? 0,
    bytes() {
      let sum = 0;
      for (let i = first; i < end; i += 1) sum += lengths[i] ?? 0;
      return sum;
    },
    gather() {
      const all = new Uint8Array(pieces.bytes());
      let to = 0;
      for (let i = 0; i < pieces.count(); i += 1) {
        const offset = pieces.offset(i);
        all.set(arena.u8.subarray(offset, offset + pieces.length(i)), to);
        to += pieces.length(i);
      }
      return all;
    },
  };
  return {
    append(offset, length) {
      checkRange(arena, offset, length);
      if (count === capacity) throw new RangeError(`no room for more than ${capacity} pieces`);
      offsets[count] = offset;
      lengths[count] = length;
      count += 1;
    },
    count: () => count,
    clear() {
      count = 0;
    },
    between(from, to) {
      [first, end] = [from, to];
      return pieces;
    },
  };
}

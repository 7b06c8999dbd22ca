// A table of pieces of an arena in the kernel's own form (struct iovec), which is filled again and again.
import { addressOfArena, checkRange } from './arena.ts';
import type { Arena } from './contract.ts';
import { PIECE } from './layout.ts';

export interface PieceTable {
  /** Its offset in the arena. */
  readonly at: number;
  /** Pieces that it holds. */
  count(): number;
  append(offset: number, length: number): void;
  clear(): void;
}

// In words of 32 bits.
const STEP = PIECE.bytes >>> 2;
const LENGTH = PIECE.length >>> 2;
const UPPER_HALF = (PIECE.address + 4) >>> 2;

/** Makes a table of at most `capacity` pieces. */
export function createPieceTable(arena: Arena, capacity: number): PieceTable {
  const { u32, byteLength } = arena;
  const { low, high } = addressOfArena(arena);
  const at = arena.reserve(capacity * PIECE.bytes);
  const first = at >>> 2;
  let count = 0;
  for (let i = 0; i < capacity; i += 1) u32[first + i * STEP + UPPER_HALF] = high;

  const refuse = (offset: number, length: number): never => {
    checkRange(arena, offset, length);
    throw new RangeError(`no room for more than ${capacity} pieces`);
  };

  return {
    at,
    count: () => count,
    append(offset, length) {
      // The checks stand here and not in a function, since this is called for each packet.
      if (count === capacity || !(offset >= 0 && length >= 0 && offset + length <= byteLength))
        refuse(offset, length);
      const piece = first + count * STEP;
      u32[piece] = low + offset;
      u32[piece + LENGTH] = length;
      count += 1;
    },
    clear() {
      count = 0;
    },
  };
}

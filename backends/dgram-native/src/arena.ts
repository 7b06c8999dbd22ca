// Memory whose address never changes, shared by the kernel, JavaScript and WebAssembly.
import type { Arena, WasmMemory } from './contract.ts';
import { libc } from './libc.ts';

declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => WasmMemory;
};

const PAGE_BYTES = 65_536;
const LINE_BYTES = 2 ** 32;
/** A line of the processor's cache. The kernel copies faster to the beginning of one. */
const ALIGNMENT = 64;
const ATTEMPTS = 8;

/**
 * Makes an arena of at least `byteLength` bytes (whole pages of 64 KiB), all 0. The system provides a page when it is
 * first touched.
 *
 * The memory must not be grown, not even by 0 pages: that detaches the views. Throws a RangeError where the memory
 * cannot be had.
 */
export function createArena(byteLength: number): Arena {
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0 || byteLength > LINE_BYTES - PAGE_BYTES) {
    throw new RangeError(`an arena has 1 to ${LINE_BYTES - PAGE_BYTES} bytes, not ${byteLength}`);
  }
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  // Refused blocks are kept until one fits: the next block would lie in the place of one that was given back.
  const refused: Arena[] = [];
  while (refused.length < ATTEMPTS) {
    const arena = createViews(new WebAssembly.Memory({ initial: pages, maximum: pages }));
    const low = Number(BigInt.asUintN(32, libc().addressOf(arena.u8)));
    if (low + arena.byteLength <= LINE_BYTES) return arena;
    refused.push(arena);
  }
  throw new RangeError(`no ${byteLength} bytes of memory that do not cross a 4 GiB line`);
}

function createViews(memory: WasmMemory): Arena {
  const u8 = new Uint8Array(memory.buffer);
  const { byteLength } = u8;
  let taken = 0;
  return {
    memory,
    u8,
    u16: new Uint16Array(memory.buffer),
    u32: new Uint32Array(memory.buffer),
    byteLength,
    reserve(bytes) {
      const offset = taken;
      if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > byteLength - offset) {
        throw new RangeError(`no ${bytes} bytes left in the arena: ${offset} of ${byteLength} are taken`);
      }
      taken = Math.min(byteLength, offset + arenaBytes(bytes));
      return offset;
    },
  };
}

/** Bytes of an arena that parts of these sizes take when they are reserved one by one. */
export function arenaBytes(...parts: readonly number[]): number {
  return parts.reduce((sum, bytes) => sum + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT, 0);
}

/** The address of an arena's first byte, whole and as two halves of 32 bits. */
export interface ArenaAddress {
  readonly base: bigint;
  readonly low: number;
  readonly high: number;
}

/** Valid as long as the arena is held. No offset of the arena carries from the lower half to the upper one. */
export function addressOfArena(arena: Arena): ArenaAddress {
  const base = libc().addressOf(arena.u8);
  const high = Number(base >> 32n);
  const low = Number(BigInt.asUintN(32, base));
  if (low + arena.byteLength > LINE_BYTES) throw new RangeError('the arena crosses a 4 GiB line');
  return { base, low, high };
}

/** The addresses of the structures of a table in the arena, computed once so that no call has to. */
export function addressesOfTable(
  base: bigint,
  offset: number,
  bytes: number,
  count: number,
): readonly bigint[] {
  return Array.from({ length: count }, (_, i) => base + BigInt(offset + i * bytes));
}

/** Throws a RangeError where `length` bytes from `offset` are not all in the arena, and for NaN. */
export function checkRange(arena: Arena, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= arena.byteLength)) {
    throw new RangeError(`${length} bytes from ${offset} are not in the arena of ${arena.byteLength}`);
  }
}

/** Throws a RangeError where `value` is not a whole number from 1 to `most`. */
export function checkCount(what: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new RangeError(`${what} must be a whole number from 1 to ${most}, not ${value}`);
}

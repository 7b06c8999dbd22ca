// Memory whose address never changes, shared by the kernel, JavaScript and WebAssembly.
import type { Arena, WasmMemory } from './contract.ts';
import { libc } from './libc.ts';

declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => WasmMemory;
};

const PAGE_BYTES = 65_536;
const LINE_BYTES = 2 ** 32;
/** A line of the processor's cache: the kernel copies faster to where one begins. */
const ALIGNMENT = 64;
const ATTEMPTS = 8;

/**
 * Makes an arena of at least `byteLength` bytes (whole pages of 64 KiB), all 0; memory is used as it is touched.
 *
 * The memory must not be grown, not even by nothing: that would take the views away. Throws a RangeError when it
 * cannot be had.
 */
export function createArena(byteLength: number): Arena {
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0 || byteLength > LINE_BYTES - PAGE_BYTES) {
    throw new RangeError(`an arena has 1 to ${LINE_BYTES - PAGE_BYTES} bytes, not ${byteLength}`);
  }
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  // Kept until there is one that fits: given back, the next one would lie in the same place.
  const refused: Arena[] = [];
  while (refused.length < ATTEMPTS) {
    const arena = new MemoryArena(new WebAssembly.Memory({ initial: pages, maximum: pages }));
    const low = Number(BigInt.asUintN(32, libc().addressOf(arena.u8)));
    if (low + arena.byteLength <= LINE_BYTES) return arena;
    refused.push(arena);
  }
  throw new RangeError(`no ${byteLength} bytes of memory that do not cross a 4 GiB line`);
}

class MemoryArena implements Arena {
  readonly memory: WasmMemory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly byteLength: number;
  #taken = 0;

  constructor(memory: WasmMemory) {
    this.memory = memory;
    this.u8 = new Uint8Array(memory.buffer);
    this.u16 = new Uint16Array(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
    this.byteLength = memory.buffer.byteLength;
  }

  reserve(bytes: number): number {
    const offset = this.#taken;
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > this.byteLength - offset) {
      throw new RangeError(`no ${bytes} bytes left in the arena: ${offset} of ${this.byteLength} are taken`);
    }
    this.#taken = Math.min(this.byteLength, Math.ceil((offset + bytes) / ALIGNMENT) * ALIGNMENT);
    return offset;
  }
}

/** Where an arena lies: the address of its first byte, whole and as two halves of 32 bits. */
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

/** The addresses of the structures of a table in the arena, made beforehand for calls that compute none. */
export function addressesOfTable(
  base: bigint,
  offset: number,
  bytes: number,
  count: number,
): readonly bigint[] {
  return Array.from({ length: count }, (_, i) => base + BigInt(offset + i * bytes));
}

/** Throws a RangeError where `length` bytes from `offset` are not all in the arena; NaN is not. */
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

// Writes the bytes of a WebAssembly module with one function, which adds 16-bit words sixteen bytes at a time. It is
// three times as fast as JavaScript at its best, and checksums are the largest cost of each byte.
//
// The function, in the text form of WebAssembly:
//
//     (func (export "sum") (param $at i32) (param $length i32) (result i32)
//       ;; blocks of 64 bytes, in two vectors of four 32-bit sums, so that one addition need not wait for the other
//       ;; then four bytes at a time, then two, then the last one
//       ;; and at the end carries are folded back until 16 bits remain)
//
// A lane of the vectors cannot overflow: it grows by less than 2^17 for each 16 bytes, and a packet has at most 2^16.

type Code = readonly number[];

const I32 = 0x7f;
const V128 = 0x7b;
const FUNCTION_TYPE = 0x60;
const NO_RESULT = 0x40;

const MAGIC_AND_VERSION: Code = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

// Sections by number.
const TYPES = 1;
const IMPORTS = 2;
const FUNCTIONS = 3;
const EXPORTS = 7;
const BODIES = 10;

const IMPORT_MEMORY = 2;
const EXPORT_FUNCTION = 0;

const ADD: Code = [0x6a];
const SUBTRACT: Code = [0x6b];
const AND: Code = [0x71];
const SHIFT_RIGHT: Code = [0x76];
const AT_LEAST: Code = [0x4f];
const END = 0x0b;

// Parameters, then locals.
const AT = 0;
const LENGTH = 1;
const SUM = 2;
const LEFT = 3;
const RIGHT = 4;

/** Bytes of the module. It imports the memory `m` of `e` and exports `sum(at, length)`. */
export function checksumModule(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...MAGIC_AND_VERSION,
    ...section(TYPES, [1, FUNCTION_TYPE, 2, I32, I32, 1, I32]),
    ...section(IMPORTS, [1, ...name('e'), ...name('m'), IMPORT_MEMORY, 0, 1]),
    ...section(FUNCTIONS, [1, 0]),
    ...section(EXPORTS, [1, ...name('sum'), EXPORT_FUNCTION, 0]),
    ...section(BODIES, [1, ...sized([2, 1, I32, 2, V128, ...body()])]),
  ]);
}

function body(): Code {
  return [
    ...whileAtLeast(64, [
      ...set(LEFT, ...get(LEFT), ...addWords(0), ...addWords(16)),
      ...set(RIGHT, ...get(RIGHT), ...addWords(32), ...addWords(48)),
    ]),
    ...set(LEFT, ...get(LEFT), ...get(RIGHT), ...ADD_VECTORS),
    ...set(SUM, ...lane(0), ...lane(1), ...ADD, ...lane(2), ...ADD, ...lane(3), ...ADD),
    // Room for what follows.
    ...fold(),
    ...whileAtLeast(4, set(SUM, ...get(SUM), ...load16(0), ...ADD, ...load16(2), ...ADD)),
    ...whileAtLeast(2, set(SUM, ...get(SUM), ...load16(0), ...ADD)),
    ...whileAtLeast(1, set(SUM, ...get(SUM), ...load8(), ...ADD)),
    ...fold(),
    ...fold(),
    ...get(SUM),
    END,
  ];
}

// while ($length >= step) { code; $at += step; $length -= step }
function whileAtLeast(step: number, code: Code): Code {
  const isLeft = [...get(LENGTH), ...constant(step), ...AT_LEAST];
  const again = [0x0d, 0];
  const advance = [
    ...set(AT, ...get(AT), ...constant(step), ...ADD),
    ...set(LENGTH, ...get(LENGTH), ...constant(step), ...SUBTRACT),
  ];
  const loop = [0x03, NO_RESULT, ...code, ...advance, ...isLeft, ...again, END];
  return [...isLeft, 0x04, NO_RESULT, ...loop, END];
}

// $sum = ($sum & 0xffff) + ($sum >>> 16)
function fold(): Code {
  const low = [...get(SUM), ...constant(0xffff), ...AND];
  const high = [...get(SUM), ...constant(16), ...SHIFT_RIGHT];
  return set(SUM, ...low, ...high, ...ADD);
}

// i32x4.add
const ADD_VECTORS: Code = simd(0xae);

// v128.load at any alignment, i32x4.extadd_pairwise_i16x8_u, i32x4.add
function addWords(offset: number): Code {
  return [...get(AT), ...simd(0x00), 0, ...unsigned(offset), ...simd(0x7f), ...ADD_VECTORS];
}

function lane(index: number): Code {
  return [...get(LEFT), ...simd(0x1b), index];
}

function load16(offset: number): Code {
  return [...get(AT), 0x2f, 0, ...unsigned(offset)];
}

function load8(): Code {
  return [...get(AT), 0x2d, 0, 0];
}

function get(local: number): Code {
  return [0x20, local];
}

function set(local: number, ...value: Code): Code {
  return [...value, 0x21, local];
}

function constant(value: number): Code {
  return [0x41, ...signed(value)];
}

function simd(instruction: number): Code {
  return [0xfd, ...unsigned(instruction)];
}

function section(id: number, content: Code): Code {
  return [id, ...sized(content)];
}

function sized(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

function name(text: string): Code {
  return sized(Array.from(text, (character) => character.charCodeAt(0)));
}

// LEB128: seven bits a byte, the lowest first, the eighth bit says that more follow.
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

// The same of a number that is not negative, where the last byte's bit 6 would be taken for a sign.
function signed(value: number): Code {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >>> 7)];
}

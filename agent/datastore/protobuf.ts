// Encodes and decodes protocol buffers. A shape lists the fields that the agent uses; others are skipped. An absent
// field has the default of its kind, an absent message the defaults of its fields.

/**
 * The kind of a field. `number`: a varint between -2^53 and 2^53. `id`: 64 bits, in decimal. `text`: a string. `bytes`:
 * decoded, a part of the message, which stays in memory with it; a string may be encoded too.
 */
export type Kind = 'number' | 'id' | 'flag' | 'text' | 'bytes' | Shape;

/** The fields of a message: the number in the .proto file and the kind; `many` marks a repeated field. */
export interface Shape {
  readonly [name: string]: readonly [number: number, kind: Kind, many?: 'many'];
}

type ValueOf<K> = K extends 'number'
  ? number
  : K extends 'id' | 'text'
    ? string
    : K extends 'flag'
      ? boolean
      : K extends 'bytes'
        ? Buffer
        : K extends Shape
          ? MessageOf<K>
          : never;

/** A decoded message, with all fields. */
export type MessageOf<S extends Shape> = {
  readonly [Name in keyof S]: S[Name] extends readonly [number, infer K, 'many']
    ? readonly ValueOf<K>[]
    : ValueOf<S[Name][1]>;
};

type WritableOf<K> = K extends 'text' | 'bytes'
  ? string | Uint8Array
  : K extends Shape
    ? WishOf<K>
    : ValueOf<K>;

/** A message to encode. Fields may be left out. */
export type WishOf<S extends Shape> = {
  readonly [Name in keyof S]?: S[Name] extends readonly [number, infer K, 'many']
    ? readonly WritableOf<K>[]
    : WritableOf<S[Name][1]>;
};

// Wire types: the low three bits of a field's key.
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** The bytes of a message. */
export function encode<S extends Shape>(shape: S, message: WishOf<S>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, [number, kind, many]] of Object.entries(shape)) {
    const value: unknown = message[name];
    if (value === undefined) continue;
    for (const item of many === undefined ? [value] : (value as readonly unknown[])) {
      if (kind === 'number' || kind === 'id' || kind === 'flag') {
        parts.push(varint(number * 8 + VARINT), varint(BigInt(item as number | string | boolean)));
      } else {
        const bytes =
          kind === 'text' || kind === 'bytes'
            ? Buffer.from(item as string)
            : encode(kind, item as WishOf<typeof kind>);
        parts.push(varint(number * 8 + BYTES), varint(bytes.length), bytes);
      }
    }
  }
  return Buffer.concat(parts);
}

/** Decodes a message. Throws an Error of one line when the bytes are malformed. */
export function decode<S extends Shape>(shape: S, bytes: Buffer): MessageOf<S> {
  return readMessage(planOf(shape), { bytes, at: 0 }, bytes.length) as MessageOf<S>;
}

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}

/** A shape prepared for decoding: its fields by number, and a message of defaults. */
interface Plan {
  readonly fields: ReadonlyMap<number, Field>;
  readonly defaults: Readonly<Record<string, unknown>>;
}

interface Field {
  readonly name: string;
  readonly kind: Exclude<Kind, Shape> | Plan;
  readonly isMany: boolean;
}

const plans = new WeakMap<Shape, Plan>();
const DEFAULTS = { number: 0, id: '0', flag: false, text: '', bytes: Buffer.alloc(0) } as const;
const NONE: readonly never[] = [];

function planOf(shape: Shape): Plan {
  const known = plans.get(shape);
  if (known !== undefined) return known;
  const fields = new Map<number, Field>();
  const defaults: Record<string, unknown> = {};
  for (const [name, [number, kind, many]] of Object.entries(shape)) {
    const inner = typeof kind === 'string' ? kind : planOf(kind);
    fields.set(number, { name, kind: inner, isMany: many !== undefined });
    const one = typeof inner === 'string' ? DEFAULTS[inner] : inner.defaults;
    defaults[name] = many === undefined ? one : NONE;
  }
  const plan = { fields, defaults };
  plans.set(shape, plan);
  return plan;
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

function readMessage(plan: Plan, cursor: Cursor, end: number): unknown {
  const message: Record<string, unknown> = { ...plan.defaults };
  while (cursor.at < end) {
    const key = readNumber(cursor, end);
    const field = plan.fields.get(Math.floor(key / 8));
    const wire = key % 8;
    if (field === undefined) {
      skip(cursor, end, wire);
      continue;
    }
    const isBytes = field.kind === 'text' || field.kind === 'bytes' || typeof field.kind === 'object';
    if (wire !== (isBytes ? BYTES : VARINT)) throw malformed();
    const value = readValue(field.kind, cursor, end);
    const before = message[field.name];
    if (!field.isMany) message[field.name] = value;
    else if (before === NONE) message[field.name] = [value];
    else (before as unknown[]).push(value);
  }
  return message;
}

function readValue(kind: Field['kind'], cursor: Cursor, end: number): unknown {
  switch (kind) {
    case 'number':
      return readSigned(cursor, end);
    case 'flag':
      return readNumber(cursor, end) !== 0;
    case 'id':
      return readId(cursor, end);
  }
  const until = readLength(cursor, end);
  if (typeof kind === 'object') return readMessage(kind, cursor, until);
  const start = cursor.at;
  cursor.at = until;
  return kind === 'bytes' ? cursor.bytes.subarray(start, until) : cursor.bytes.toString('utf8', start, until);
}

// Reads a length, and returns the end of that many bytes.
function readLength(cursor: Cursor, end: number): number {
  const length = readNumber(cursor, end);
  if (length > end - cursor.at) throw malformed();
  return cursor.at + length;
}

function readNumber(cursor: Cursor, end: number, limit = Number.MAX_SAFE_INTEGER): number {
  let value = 0;
  for (let scale = 1; cursor.at < end; scale *= 128) {
    const byte = cursor.bytes[cursor.at++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (value > limit) throw malformed();
    if (byte < 0x80) return value;
  }
  throw malformed();
}

// A negative number takes ten bytes, as a number of 64 bits.
function readSigned(cursor: Cursor, end: number): number {
  const start = cursor.at;
  const value = readNumber(cursor, end, Number.POSITIVE_INFINITY);
  if (value <= Number.MAX_SAFE_INTEGER) return value;
  cursor.at = start;
  const negative = Number(BigInt.asIntN(64, BigInt(readId(cursor, end))));
  if (!Number.isSafeInteger(negative)) throw malformed();
  return negative;
}

function readId(cursor: Cursor, end: number): string {
  let value = 0n;
  for (let shift = 0n; cursor.at < end && shift < 70n; shift += 7n) {
    const byte = cursor.bytes[cursor.at++] ?? 0;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return String(BigInt.asUintN(64, value));
  }
  throw malformed();
}

function skip(cursor: Cursor, end: number, wire: number): void {
  if (wire === VARINT) readNumber(cursor, end, Number.POSITIVE_INFINITY);
  else if (wire === BYTES) cursor.at = readLength(cursor, end);
  else if (wire === FIXED64) cursor.at += 8;
  else if (wire === FIXED32) cursor.at += 4;
  else throw malformed();
  if (cursor.at > end) throw malformed();
}

/** The error for a message that cannot be, or says what cannot be. */
export function malformed(): Error {
  return new Error('the server sent a malformed message');
}

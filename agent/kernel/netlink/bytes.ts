// Looks into the bytes of a message before it is parsed. A busy host has thousands of objects of others, and the parser
// of the package takes a tenth of a millisecond for one link. Pure.

/** The attributes behind a message's own header of `headerBytes`. The rest behind a malformed one is left out. */
export function* attributesIn(
  data: Buffer,
  headerBytes: number,
): Iterable<readonly [type: number, value: Buffer]> {
  for (let at = headerBytes; at + 4 <= data.length; ) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) return;
    yield [data.readUInt16LE(at + 2) & NLA_TYPE_MASK, data.subarray(at + 4, at + length)];
    at += (length + 3) & ~3;
  }
}

/** Finds the value of an attribute behind the message's own header of `headerBytes`; undefined: there is none. */
export function attributeOf(data: Buffer, headerBytes: number, type: number): Buffer | undefined {
  let at = headerBytes;
  while (at + 4 <= data.length) {
    const length = data.readUInt16LE(at);
    if (length < 4 || at + length > data.length) return undefined;
    if ((data.readUInt16LE(at + 2) & NLA_TYPE_MASK) === type) return data.subarray(at + 4, at + length);
    at += (length + 3) & ~3;
  }
  return undefined;
}

/**
 * Finds the place of an attribute's value of four bytes or more, among those between two places; undefined: there is
 * none. It makes no object and calls nothing, as thousands of messages are looked at, by code that is rarely run.
 */
export function placeOf(bytes: Buffer, start: number, end: number, type: number): number | undefined {
  for (let at = start; at + 8 <= end; ) {
    const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    if (length < 4 || at + length > end) return undefined;
    const found = (bytes[at + 2] ?? 0) | ((bytes[at + 3] ?? 0) << 8);
    if ((found & NLA_TYPE_MASK) === type) return length < 8 ? undefined : at + 4;
    at += (length + 3) & ~3;
  }
  return undefined;
}

/** Reads a number of four bytes; 0 where there are fewer. */
export function numberOf(value: Buffer): number {
  return value.length < 4 ? 0 : value.readUInt32LE(0);
}

/** Reads a text that ends with a zero byte. */
export function textOf(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('latin1', 0, end < 0 ? value.length : end);
}

// The two highest bits say how the value is written.
const NLA_TYPE_MASK = 0x3fff;

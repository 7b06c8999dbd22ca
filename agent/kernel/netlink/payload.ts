// The payload of an rtnetlink request for an entry: a fixed header, then attributes. It is written here and not by the
// package, since entries come by the thousand: the package makes a dozen buffers for each, and takes three times as
// long.
//
//     header │ length 2, type 2, value, padding to 4 │ length 2, type 2, value, padding to 4 │ …
//
// Numbers are in the machine's order, which is little-endian wherever the package has an add-on.

/** The number of an attribute's type and the bytes of its value, at most 251. */
export type Attribute = readonly [type: number, value: readonly number[]];

/** The bytes of a payload. The length of `header` is a multiple of four. */
export function formatPayload(header: readonly number[], attributes: readonly Attribute[]): Buffer {
  let end = header.length;
  for (const [, value] of attributes) end += ATTRIBUTE_HEADER_BYTES + aligned(value.length);
  const bytes = Buffer.alloc(end);
  bytes.set(header);
  let at = header.length;
  for (const [type, value] of attributes) {
    bytes[at] = ATTRIBUTE_HEADER_BYTES + value.length;
    bytes[at + 2] = type;
    bytes.set(value, at + ATTRIBUTE_HEADER_BYTES);
    at += ATTRIBUTE_HEADER_BYTES + aligned(value.length);
  }
  return bytes;
}

const ATTRIBUTE_HEADER_BYTES = 4;

function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** The two bytes of a number. */
export function u16(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

/** The four bytes of a number. */
export function u32(value: number): readonly number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}

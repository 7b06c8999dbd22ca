// Prefixes as numbers: addresses are signed 32-bit numbers here, which is what a machine word is.

/** The mask of a prefix of `length` bits, 0 to 32. */
export function maskOf(length: number): number {
  // A shift by 32 is a shift by nothing.
  return length === 0 ? 0 : -1 << (32 - length);
}

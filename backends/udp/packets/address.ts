// IPv4 addresses and masks as signed 32-bit numbers: they fit a machine word, so passing them around allocates nothing.

/** The mask of a prefix of `length` bits, 0 to 32. */
export function maskOf(length: number): number {
  // A shift by 32 bits shifts nothing.
  return length === 0 ? 0 : -1 << (32 - length);
}

/** The number of an address in canonical text form. */
export function parseAddress(text: string): number {
  return text.split('.').reduce((number, byte) => (number << 8) | Number(byte), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

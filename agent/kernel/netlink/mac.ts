// MACs as text and as bytes.

/** Six bytes as lower-case hexadecimal with colons; empty for anything else. */
export function formatMac(bytes: Buffer | undefined): string {
  return bytes?.length === 6 ? [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':') : '';
}

/** The bytes of a MAC in the form that `formatMac` gives. */
export function parseMac(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

// Addresses of both families between text and bytes.

// Without leading zeros: some programs read them as octal.
const IPV4 = /^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/;
const IPV6 = /^[\da-f.]*:[\da-f:.]*$/i;

/** The bytes of an address in text form: 4 of IPv4, 16 of IPv6. Throws a RangeError for any other text. */
export function parseAddress(text: string): readonly number[] {
  const bytes = IPV4.test(text) ? text.split('.').map(Number) : parseIpv6(text);
  if (bytes === undefined || bytes.some((byte) => byte > 255)) {
    throw new RangeError(`"${text}" is not an IPv4 or IPv6 address`);
  }
  return bytes;
}

// The parser of URLs checks the text and gives its canonical form, in which only `::` is left to expand.
function parseIpv6(text: string): readonly number[] | undefined {
  if (!IPV6.test(text) || !URL.canParse(`http://[${text}]`)) return undefined;
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [before = [], after = []] = canonical
    .split('::')
    .map((part) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...zeros, ...after].flatMap((group) => [group >>> 8, group & 0xff]);
}

/** The canonical text of 4 or 16 bytes. */
export function formatAddress(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

// Addresses and prefixes of both families. Only this file parses and compares them: everywhere else they are canonical
// text or a Prefix.
import ipaddr from 'ipaddr.js';

export type Family = 'ipv4' | 'ipv6';

/** A value for each family that has one. */
export type PerFamily<T> = { readonly [F in Family]?: T };

/** The families that this version carries. */
export const FAMILIES: readonly Family[] = ['ipv4'];

/** A block of addresses such as 10.5.34.0/24, or an address with the length of its network (10.5.34.1/24). */
export interface Prefix {
  readonly family: Family;
  /** Canonical text: dotted quad, or compressed lower-case IPv6. */
  readonly address: string;
  /** Bits of the network part. */
  readonly length: number;
}

// Addresses are parsed by the ten thousand, from leases and from the kernel. For IPv4 a pattern is the fastest parser.
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const DOTTED_QUAD = new RegExp(`^${BYTE}(?:\\.${BYTE}){3}$`);

const DOT = 46;
const ZERO = 48;

const BITS: Readonly<Record<Family, number>> = { ipv4: 32, ipv6: 128 };

/** The canonical text of an address, or undefined when it is none. IPv4 is a full dotted quad without leading zeros. */
export function parseAddress(
  text: string,
): { readonly family: Family; readonly address: string } | undefined {
  if (DOTTED_QUAD.test(text)) return { family: 'ipv4', address: text };
  const groups = withoutDottedQuad(text);
  if (groups.includes(':') && !groups.includes('%') && ipaddr.IPv6.isValid(groups)) {
    return { family: 'ipv6', address: canonical6(ipaddr.IPv6.parse(groups).toByteArray()) };
  }
  return undefined;
}

/**
 * The dotted quad of an IPv4 address, or undefined when it is none. As in Go, an IPv4 address may also be written as an
 * IPv6 address: ::ffff:10.5.1.0.
 */
export function parseIPv4(text: string): string | undefined {
  const parsed = parseAddress(text);
  if (parsed?.family !== 'ipv6') return parsed?.address;
  const bytes = addressBytes(parsed.address);
  const isMapped = bytes.slice(0, 12).every((byte, index) => byte === (index < 10 ? 0 : 0xff));
  return isMapped ? addressFromBytes(bytes.slice(12)) : undefined;
}

// The same address in groups alone; empty where its dotted quad is none. The library takes every dotted quad in an IPv6
// address for a mapped IPv4 address: ::1.2.3.4 is not one.
function withoutDottedQuad(text: string): string {
  const [, start = '', quad = ''] = /^(.*:)([^:]*\.[^:]*)$/.exec(text) ?? [];
  if (quad === '') return text;
  if (!DOTTED_QUAD.test(quad)) return '';
  const [a = 0, b = 0, c = 0, d = 0] = addressBytes(quad);
  return `${start}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

/** Parses `address/length`; host bits may be set. Undefined when it is no prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0 || !/^\d{1,3}$/.test(text.slice(slash + 1))) return undefined;
  const parsed = parseAddress(text.slice(0, slash));
  const length = Number(text.slice(slash + 1));
  if (parsed === undefined || length > BITS[parsed.family]) return undefined;
  return { ...parsed, length };
}

/** `address/length`. */
export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** Whether two prefixes are the same text. */
export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && a.address === b.address;
}

/** The address as an integer. */
export function addressBits(address: string): bigint {
  return addressBytes(address).reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);
}

/** The canonical text of an address given as an integer. */
export function addressFromBits(family: Family, bits: bigint): string {
  const bytes = Array.from({ length: BITS[family] / 8 }, () => 0);
  for (let i = bytes.length - 1, rest = bits; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return addressFromBytes(bytes);
}

/** The 4 or 16 bytes of an address in network order. */
export function addressBytes(address: string): number[] {
  // Called for every entry of the kernel. Canonical IPv4 needs no parser.
  return address.includes(':') ? ipaddr.parse(address).toByteArray() : address.split('.').map(Number);
}

/** The canonical text of 4 or 16 bytes in network order. */
export function addressFromBytes(bytes: readonly number[]): string {
  return bytes.length === 4 ? bytes.join('.') : canonical6(bytes);
}

// RFC 5952: the longest run of two or more zero groups is left out, and nothing is written as a dotted quad.
function canonical6(bytes: readonly number[]): string {
  return new ipaddr.IPv6([...bytes]).toRFC5952String();
}

/** The same prefix with its host bits cleared: 10.5.34.1/24 becomes 10.5.34.0/24. */
export function networkOf(prefix: Prefix): Prefix {
  if (prefix.family === 'ipv4') {
    const number = number4(prefix.address);
    const network = number - (number % 2 ** (32 - prefix.length));
    return { ...prefix, address: [24, 16, 8, 0].map((shift) => (network >>> shift) & 0xff).join('.') };
  }
  const hostBits = BigInt(BITS[prefix.family] - prefix.length);
  const bits = (addressBits(prefix.address) >> hostBits) << hostBits;
  return { ...prefix, address: addressFromBits(prefix.family, bits) };
}

/** The `offset`-th address of a prefix, counted from its network address. */
export function addressAt(prefix: Prefix, offset: number): string {
  return addressFromBits(prefix.family, addressBits(networkOf(prefix).address) + BigInt(offset));
}

/** A prefix of one address: /32 or /128. */
export function hostPrefix(address: string): Prefix {
  const family: Family = address.includes(':') ? 'ipv6' : 'ipv4';
  return { family, address, length: BITS[family] };
}

/** Whether every address of `inner` lies in `outer`. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || outer.length > inner.length) return false;
  if (outer.family === 'ipv4') {
    // Called for thousands of peers in one plan. Big integers would be most of its cost.
    const block = 2 ** (32 - outer.length);
    return Math.floor(number4(outer.address) / block) === Math.floor(number4(inner.address) / block);
  }
  const shift = BigInt(BITS[outer.family] - outer.length);
  return addressBits(outer.address) >> shift === addressBits(inner.address) >> shift;
}

// One plan compares thousands of addresses with a few, and each of them some times.
const numbers = new Map<string, number>();
const KNOWN_NUMBERS = 1_024;

function number4(address: string): number {
  const known = numbers.get(address);
  if (known !== undefined) return known;
  let [number, byte] = [0, 0];
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === DOT) [number, byte] = [number * 256 + byte, 0];
    else byte = byte * 10 + code - ZERO;
  }
  number = number * 256 + byte;
  if (numbers.size >= KNOWN_NUMBERS) numbers.clear();
  numbers.set(address, number);
  return number;
}

/** Whether `address` lies in `prefix`. */
export function containsAddress(prefix: Prefix, address: string): boolean {
  return containsPrefix(prefix, hostPrefix(address));
}

/** Whether two prefixes share an address. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? containsPrefix(a, b) : containsPrefix(b, a);
}

// This network, loopback, link-local, multicast and the broadcast address.
const NO_HOSTS = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32'].flatMap(
  (text) => parsePrefix(text) ?? [],
);
/** Whether an IPv4 address can be that of one host, for all other hosts. */
export function isHostAddress(address: string): boolean {
  return noHostsIn(hostPrefix(address)) === undefined;
}

/** The block without hosts that an IPv4 prefix overlaps; undefined: none. */
export function noHostsIn(prefix: Prefix): Prefix | undefined {
  return NO_HOSTS.find((block) => overlaps(block, prefix));
}

// Telling the sender of a packet why it went no further (RFC 792, RFC 1191, and RFC 1812 for when to be silent).
import { fold, type Sum } from './checksum.ts';
import {
  addressAt,
  DONT_FRAGMENT,
  FRAGMENT_OFFSET,
  headerLength,
  IPV4,
  PROTOCOL_ICMP,
  writeHeaderChecksum,
} from './ipv4.ts';
import type { PacketMemory } from './packet-memory.ts';

/** What is told: type and code of ICMP. */
export const TIME_EXCEEDED: IcmpError = { type: 11, code: 0 };
export const NET_UNREACHABLE: IcmpError = { type: 3, code: 0 };
export const FRAGMENTATION_NEEDED: IcmpError = { type: 3, code: 4 };

export interface IcmpError {
  readonly type: number;
  readonly code: number;
}

const ICMP_BYTES = 8;

/** The longest message (RFC 1812): nobody has to fragment it. Room for one is needed where it is written. */
export const ICMP_ERROR_BYTES = 576;

// Precedence "internetwork control".
const TOS = 0xc0;
const TTL = 64;

// Echo, timestamp, information, mask, and their answers; everything else is an error or nobody knows.
const QUERIES: readonly number[] = [0, 8, 13, 14, 15, 16, 17, 18];

/**
 * Whether the packet at `at`, `length` bytes with a good header, may be answered by an error: never one that is an
 * error itself, a fragment other than the first, from or to nobody in particular. Otherwise two hosts could go on for
 * ever, or one packet call forth many.
 */
export function mayAnswer(memory: PacketMemory, at: number, length: number): boolean {
  const { view } = memory;
  if ((view.getUint16(at + IPV4.fragment) & FRAGMENT_OFFSET) !== 0) return false;
  if (!isUnicast(addressAt(memory, at + IPV4.source))) return false;
  if (addressAt(memory, at + IPV4.destination) >>> 28 >= 0xe) return false;
  if (view.getUint8(at + IPV4.protocol) !== PROTOCOL_ICMP) return true;
  const headerBytes = headerLength(memory, at);
  return headerBytes < length && QUERIES.includes(view.getUint8(at + headerBytes));
}

// Not "this network", not the loopback, not multicast, reserved or broadcast.
function isUnicast(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 0xe0;
}

/**
 * Writes an error about the packet at `at` to `into`, which must be even, from the address `source`. `mtuBytes` is for
 * "fragmentation needed". Gives its length. It quotes as much of the packet as fits.
 */
export function writeIcmpError(
  memory: PacketMemory,
  sum: Sum,
  into: number,
  error: IcmpError,
  about: { readonly at: number; readonly length: number },
  source: number,
  mtuBytes = 0,
): number {
  const { view, bytes } = memory;
  const quoted = Math.min(about.length, ICMP_ERROR_BYTES - IPV4.headerBytes - ICMP_BYTES);
  const length = IPV4.headerBytes + ICMP_BYTES + quoted;
  const icmp = into + IPV4.headerBytes;
  bytes.copyWithin(icmp + ICMP_BYTES, about.at, about.at + quoted);
  view.setUint8(icmp, error.type);
  view.setUint8(icmp + 1, error.code);
  view.setUint16(icmp + 2, 0);
  view.setUint16(icmp + 4, 0);
  view.setUint16(icmp + 6, mtuBytes);
  view.setUint16(icmp + 2, ~fold(sum(icmp, ICMP_BYTES + quoted)), true);

  view.setUint8(into, 0x45);
  view.setUint8(into + IPV4.tos, TOS);
  view.setUint16(into + IPV4.totalLength, length);
  view.setUint16(into + IPV4.id, 0);
  view.setUint16(into + IPV4.fragment, DONT_FRAGMENT);
  view.setUint8(into + IPV4.ttl, TTL);
  view.setUint8(into + IPV4.protocol, PROTOCOL_ICMP);
  view.setInt32(into + IPV4.source, source);
  view.setInt32(into + IPV4.destination, addressAt(memory, about.at + IPV4.source));
  writeHeaderChecksum(memory, into);
  return length;
}

// ICMP errors, which tell the sender of a packet why it went no further (RFC 792, RFC 1191; RFC 1812 says when to send
// none).
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

export const TIME_EXCEEDED: IcmpError = { type: 11, code: 0 };
export const NET_UNREACHABLE: IcmpError = { type: 3, code: 0 };
export const FRAGMENTATION_NEEDED: IcmpError = { type: 3, code: 4 };

/** Type and code of an ICMP error. */
export interface IcmpError {
  readonly type: number;
  readonly code: number;
}

const ICMP_BYTES = 8;

/** The longest error (RFC 1812), which no path has to fragment: the room that writing one needs. */
export const ICMP_ERROR_BYTES = 576;

// Precedence "internetwork control".
const TOS = 0xc0;
const TTL = 64;

// Echo, timestamp, information, mask, and their answers. All other types are errors or unknown.
const QUERIES: readonly number[] = [0, 8, 13, 14, 15, 16, 17, 18];

/**
 * Whether an error may be sent about the packet at `at`, `length` bytes with a good header. There is none about another
 * error, a fragment other than the first, or a packet whose source or destination is not a single host: otherwise two
 * hosts could answer each other without end, or one packet could cause many.
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
 * Writes an error about a packet to `into`, which must be even, and gives its length. It comes from the address
 * `source` and quotes as much of the packet as fits. `mtuBytes` is for "fragmentation needed".
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

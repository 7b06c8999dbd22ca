// The IPv4 header: its fields, its check, and the one change that a forwarder makes to it.
import { fold, sumHeader } from './checksum.ts';
import type { PacketMemory } from './packet-memory.ts';

/** Offsets of fields. */
export const IPV4 = {
  tos: 1,
  totalLength: 2,
  id: 4,
  /** Three flags and the offset in units of eight bytes. */
  fragment: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
  /** Bytes of a header without options. */
  headerBytes: 20,
} as const;

export const DONT_FRAGMENT = 0x4000;
export const MORE_FRAGMENTS = 0x2000;
export const FRAGMENT_OFFSET = 0x1fff;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;

/**
 * Faults of a header. A packet of IPv6 has the fault `version`.
 */
export type HeaderFault = 'short' | 'version' | 'header_length' | 'total_length' | 'checksum';

/**
 * Checks the header of a packet in `length` bytes. Bytes after its total length are no part of it; the caller cuts them
 * off.
 */
export function findHeaderFault(memory: PacketMemory, at: number, length: number): HeaderFault | undefined {
  if (length < IPV4.headerBytes) return 'short';
  const { view } = memory;
  if (view.getUint8(at) >> 4 !== 4) return 'version';
  const headerBytes = headerLength(memory, at);
  if (headerBytes < IPV4.headerBytes || headerBytes > length) return 'header_length';
  const total = view.getUint16(at + IPV4.totalLength);
  if (total < headerBytes || total > length) return 'total_length';
  return sumHeader(memory, at, headerBytes) === 0xffff ? undefined : 'checksum';
}

/** Bytes of the header with its options. */
export function headerLength({ view }: PacketMemory, at: number): number {
  return (view.getUint8(at) & 0x0f) << 2;
}

/** The address at `at`, as a signed number. */
export function addressAt({ view }: PacketMemory, at: number): number {
  return view.getInt32(at);
}

/** Computes and writes the checksum of a header. */
export function writeHeaderChecksum(memory: PacketMemory, at: number): void {
  memory.view.setUint16(at + IPV4.checksum, 0);
  const sum = sumHeader(memory, at, headerLength(memory, at));
  memory.view.setUint16(at + IPV4.checksum, ~sum, true);
}

/**
 * Decrements the time to live, and updates the checksum (RFC 1624, equation 3). Gives false and changes nothing where
 * no hop is left.
 *
 * The sender's and the receiver's forwarder each take one hop, and so do the two kernels that route the packet into one
 * TUN device and out of the other: a container's packet arrives with four hops less, as with flannel's udp backend.
 */
export function takeHop({ view }: PacketMemory, at: number): boolean {
  const ttl = view.getUint8(at + IPV4.ttl);
  if (ttl <= 1) return false;
  const before = view.getUint16(at + IPV4.ttl, true);
  view.setUint8(at + IPV4.ttl, ttl - 1);
  const after = view.getUint16(at + IPV4.ttl, true);
  const sum = ~view.getUint16(at + IPV4.checksum, true) & 0xffff;
  view.setUint16(at + IPV4.checksum, ~fold(sum + (~before & 0xffff) + after), true);
  return true;
}

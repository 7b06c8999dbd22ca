// Cuts an IPv4 packet into fragments (RFC 791) for a path that is too small for it. The payload stays in its place;
// only a header is written for each fragment.
import {
  DONT_FRAGMENT,
  FRAGMENT_OFFSET,
  headerLength,
  IPV4,
  MORE_FRAGMENTS,
  writeHeaderChecksum,
} from './ipv4.ts';
import type { PacketMemory } from './packet-memory.ts';

/** Bytes of the room for one header. */
export const FRAGMENT_HEADER_ROOM = 64;

/** Takes one fragment: the places of its header and of its part of the payload in the memory. */
export type TakeFragment = (
  headerAt: number,
  headerBytes: number,
  payloadAt: number,
  payloadBytes: number,
) => void;

/** The smallest path that IPv4 allows, in bytes: 60 of header and 8 of payload. */
export const SMALLEST_PATH_BYTES = 68;

/** Whether the packet forbids fragments. */
export function forbidsFragments({ view }: PacketMemory, at: number): boolean {
  return (view.getUint16(at + IPV4.fragment) & DONT_FRAGMENT) !== 0;
}

/**
 * Cuts the packet at `at`, whose header is good, into fragments of at most `pathBytes` (68 or more), and gives their
 * number. `headerRoom(i)` gives the place for the header of the i-th. A packet that is a fragment itself keeps its
 * offset.
 */
export function fragmentPacket(
  memory: PacketMemory,
  at: number,
  pathBytes: number,
  headerRoom: (i: number) => number,
  take: TakeFragment,
): number {
  const { view, bytes } = memory;
  const headerBytes = headerLength(memory, at);
  const payload = view.getUint16(at + IPV4.totalLength) - headerBytes;
  const field = view.getUint16(at + IPV4.fragment);
  const flags = field & ~(MORE_FRAGMENTS | FRAGMENT_OFFSET);
  const step = (Math.max(pathBytes, SMALLEST_PATH_BYTES) - headerBytes) & ~7;
  let count = 0;
  for (let from = 0; from === 0 || from < payload; from += step, count++) {
    const part = Math.min(step, payload - from);
    const header = headerRoom(count);
    bytes.copyWithin(header, at, at + headerBytes);
    if (count > 0) blankFirstOnlyOptions(memory, header, headerBytes);
    const isLast = from + part >= payload;
    const more = isLast ? field & MORE_FRAGMENTS : MORE_FRAGMENTS;
    view.setUint16(header + IPV4.totalLength, headerBytes + part);
    view.setUint16(header + IPV4.fragment, flags | more | ((field & FRAGMENT_OFFSET) + (from >> 3)));
    writeHeaderChecksum(memory, header);
    take(header, headerBytes, at + headerBytes + from, part);
  }
  return count;
}

const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
const COPIED = 0x80;

// Options without the "copied" bit belong to the first fragment only; the header keeps its length.
function blankFirstOnlyOptions({ view, bytes }: PacketMemory, header: number, headerBytes: number): void {
  const end = header + headerBytes;
  for (let at = header + IPV4.headerBytes; at < end; ) {
    const option = view.getUint8(at);
    if (option === END_OF_OPTIONS) return;
    const length = option === NO_OPERATION || at + 1 >= end ? 1 : view.getUint8(at + 1);
    // An option that cannot be read is blanked too, as no receiver could use it.
    const isWhole = option === NO_OPERATION || (length >= 2 && at + length <= end);
    const stop = isWhole ? at + length : end;
    if ((option & COPIED) === 0 || !isWhole) bytes.fill(NO_OPERATION, at, stop);
    at = stop;
  }
}

// Where the fields of the kernel's structures lie on a 64-bit little-endian Linux, in bytes from their beginning.
//
//     mmsghdr (64)                                iovec (16)                 pollfd (8)
//       0  address of the sockaddr_in, 8            0  address, 8              0  fd, 4
//       8  its length, 4  (4 unused)                8  length, 8               4  wanted events, 2
//      16  address of the first iovec, 8                                       6  what happened, 2
//      24  number of iovecs, 8                    sockaddr_in (16)
//      32  address of the cmsghdr, 8                0  family, 2             cmsghdr (16, then its data)
//      40  room for it, or its length, 8            2  port, 2, big endian     0  length with the data, 8
//      48  flags, 4  (4 unused)                     4  address, 4, same        8  level, 4
//      56  bytes moved, 4  (4 unused)               8  unused, 8              12  type, 4
//
// The upper halves of lengths stay 0, and those of addresses are written once: an arena lies within 4 GiB.

export const MESSAGE = {
  bytes: 64,
  name: 0,
  nameLength: 8,
  pieces: 16,
  pieceCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  moved: 56,
} as const;

export const PIECE = { bytes: 16, address: 0, length: 8 } as const;

export const NAME = { bytes: 16, family: 0, port: 2, address: 4 } as const;

export const CONTROL = {
  length: 0,
  level: 8,
  type: 12,
  data: 16,
  /** With a 16-bit number as its data, as it is and rounded up: UDP_SEGMENT going out. */
  shortLength: 18,
  shortBytes: 24,
  /** With a 32-bit number as its data: UDP_GRO coming in. */
  numberLength: 20,
  /** Room for incoming ones. */
  roomBytes: 64,
} as const;

export const POLL = { bytes: 8, fd: 0, wanted: 4, happened: 6 } as const;

/** A 16-bit number with its bytes the other way round: between our order and the network's. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** The same for an unsigned 32-bit number. */
export function swap32(value: number): number {
  return ((swap16(value) << 16) | swap16(value >>> 16)) >>> 0;
}

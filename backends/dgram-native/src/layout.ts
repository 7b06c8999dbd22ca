// Where the fields of the kernel's structures lie on a 64-bit little-endian Linux, in bytes from their beginning.
//
//     mmsghdr (64)                                iovec (16)                 pollfd (8)
//       0  address of the endpoint, 8               0  address, 8              0  fd, 4
//       8  its length, 4  (4 unused)                8  length, 8               4  wanted events, 2
//      16  address of the first iovec, 8                                       6  events that happened, 2
//      24  number of iovecs, 8                    sockaddr_in (16)
//      32  address of the cmsghdr, 8                0  family, 2             sockaddr_in6 (28)
//      40  room for it, or its length, 8            2  port, 2, big endian     0  family, 2
//      48  flags, 4  (4 unused)                     4  address, 4, same        2  port, 2, big endian
//      56  bytes moved, 4  (4 unused)               8  unused, 8               4  flow, 4
//                                                                              8  address, 16
//     cmsghdr (16, then its data)                                             24  zone, 4
//       0  length with the data, 8
//       8  level, 4
//      12  type, 4
//
// The upper halves of lengths stay 0, and those of addresses are written once: an arena lies within 4 GiB.

export const MESSAGE = {
  bytes: 64,
  endpoint: 0,
  endpointLength: 8,
  pieces: 16,
  pieceCount: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
  moved: 56,
} as const;

export const PIECE = { bytes: 16, address: 0, length: 8 } as const;

/** Of either family: the kernel takes the longer length for the shorter structure too. */
export const ENDPOINT = { bytes: 28, family: 0, port: 2, ipv4: 4, ipv6: 8 } as const;

export const CONTROL = {
  length: 0,
  level: 8,
  type: 12,
  data: 16,
  /** Length of one with a 16-bit number (UDP_SEGMENT, outgoing), and the same rounded up. */
  shortLength: 18,
  shortBytes: 24,
  /** Length of one with a 32-bit number (UDP_GRO, incoming). */
  numberLength: 20,
  /** Room for incoming ones. */
  roomBytes: 64,
} as const;

export const POLL = { bytes: 8, fd: 0, wanted: 4, happened: 6 } as const;

/** Swaps the bytes of a 16-bit number: between the machine's order and the network's. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

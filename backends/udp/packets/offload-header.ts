// The ten bytes before each packet of a TUN device (struct virtio_net_hdr), little endian. In a packet from the kernel
// they say what the kernel left undone; in a packet to the kernel they say what it still has to do.
//
//     0      1        2              4            6               8
//     flags  gso type header length  segment size checksum start  checksum offset
import type { PacketMemory } from './packet-memory.ts';

export const OFFLOAD = {
  flags: 0,
  type: 1,
  headerLength: 2,
  /** Bytes of payload in each segment. */
  segmentSize: 4,
  checksumStart: 6,
  /** Place of the checksum, counted from checksumStart. */
  checksumOffset: 8,
  bytes: 10,
} as const;

/**
 * The checksum field holds only the pseudo header's sum. In a packet to the kernel this also says that the packet is
 * known to be good; the flag for that, DATA_VALID (2), is ignored by TUN devices.
 */
export const NEEDS_CHECKSUM = 1;

export const GSO_NONE = 0;
export const GSO_TCP4 = 1;
export const GSO_UDP = 5;
/** Beside GSO_TCP4: the first segment, and no other, carries CWR. */
export const GSO_ECN = 0x80;

/** The header of a packet that is complete. */
export function writePlainOffload({ view }: PacketMemory, at: number): void {
  view.setUint32(at, 0);
  view.setUint32(at + 4, 0);
  view.setUint16(at + 8, 0);
}

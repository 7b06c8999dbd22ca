// The fields of TCP and UDP headers.

/** Offsets of fields of a TCP header. */
export const TCP = {
  sequence: 4,
  acknowledgement: 8,
  /** High half: header length in words of 32 bits. */
  dataOffset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  urgent: 18,
  headerBytes: 20,
} as const;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const URG = 0x20;
export const CWR = 0x80;

/** Offsets of fields of a UDP header. */
export const UDP = { length: 4, checksum: 6, headerBytes: 8 } as const;

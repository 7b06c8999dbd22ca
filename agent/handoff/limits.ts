// Limits of the files that we hand over.

export const LIMITS = {
  /** Bytes of subnet.env that are read; flannel's has less than 200. */
  subnetFileBytes: 4_096,
} as const;

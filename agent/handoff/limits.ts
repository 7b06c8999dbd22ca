// Limits of the hand-off files.

export const LIMITS = {
  /** Bytes of subnet.env that are read; flannel's has less than 200. */
  subnetFileBytes: 4_096,
} as const;

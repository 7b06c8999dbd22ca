// Limits of the lease room.

export const LIMITS = {
  /** Attempts to get a subnet when others take them at the same time, before the store is read again. */
  claimAttempts: 64,
  /**
   * A listing that lacks this many known leases *and* more than half of them needs a second listing to confirm it.
   */
  vanishedLeases: 5,
} as const;

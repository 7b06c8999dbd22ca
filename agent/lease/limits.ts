// Limits of the lease room.

export const LIMITS = {
  /** Attempts to get a subnet when others take them at the same time, before the store is read again. */
  claimAttempts: 64,
  /**
   * A listing that lacks this many known leases *and* more than half of them needs a second listing to confirm it.
   */
  vanishedLeases: 5,
  /** Unfit leases of ours that one search for a lease gives back: anybody can write many that look like ours. */
  misfits: 4,
  /** Free subnets under misfits that are passed over in the search for one that overlaps none. */
  misfitLooks: 4_096,
  /** Leases that are known at most. More are left out until there is room: the oldest stay. */
  knownLeases: 50_000,
  /** Their foreign fields and the backends' facts, in about as many bytes of memory. */
  knownLeaseBytes: 64 * 1024 * 1024,
  /** Malformed entries whose reasons are known at most. More are counted alone. */
  knownMalformed: 1_000,
  /** Challenges of one search for a lease. */
  challenges: 2,
  /** A live node with our address is asked at most once in this time, in milliseconds. */
  conflictMs: 30_000,
  /** Longest wait for the event of another node's write that came before ours, in milliseconds. */
  newsMs: 1_000,
  /** A lease that others write is written again at once, and then at most once in this time, in milliseconds. */
  rewritePauseMs: 1_000,
  /** In this time, in milliseconds, one challenge is logged, and so many overwrites of our lease. */
  ownLeaseLogMs: 60_000,
  ownLeaseLines: 5,
} as const;

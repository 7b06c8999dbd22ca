// Limits of the datastores. Times are in milliseconds, sizes in bytes.

export const LIMITS = {
  /** Longest time for one request. */
  datastoreRequestMs: 5_000,
  /** An idle connection is pinged after this long, and given up when the ping is unanswered for the second time. */
  datastorePingMs: 6_000,
  datastorePingTimeoutMs: 3_000,
  /** Largest answer that is read: 5,000 leases are about 1.5 MB. */
  datastoreAnswerBytes: 256 * 1024 * 1024,
  /** With several servers: the next one is asked as well after this much silence. */
  datastoreStaggerMs: 200,
  /** Longest wait of the transport itself before it connects again. */
  datastoreReconnectMs: 1_000,
  /**
   * Longest time between a listing and the watch that continues it. If exceeded (the process was suspended), the store
   * is listed again.
   */
  datastoreHandoverMs: 10_000,
  /** A watch that stood this long starts its back-off anew when it breaks. */
  datastoreStableMs: 5_000,
  /** Changes that the stores in memory and in a folder remember for watchers that come late. */
  memoryStoreHistory: 16_384,
  fileStoreHistory: 256,
  /** Revisions of the file store that lie in its folder. */
  fileStoreRevisions: 64,
  /** Interval of looks at the file store where the kernel's notifications fail. */
  fileStorePollMs: 1_000,
  /** Attempts to write the file store while other processes write it too. */
  fileStoreAttempts: 400,
  /** Attempts to write the network configuration while others write it too. */
  configAttempts: 64,
  /** Challenges of one lease that are answered at a time. */
  challengeAnswers: 64,
  /** Events that wait for the agent. */
  storeEvents: 100_000,
} as const;

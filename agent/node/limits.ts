// Limits of the loops of a node. Times are in milliseconds.

export const LIMITS = {
  /** Interval of the check for a suspension, and the shortest suspension that counts. */
  suspensionLookMs: 2_000,
  suspensionMs: 5_000,
  /** From a change of this host's interfaces to the look at them, and the shortest pause between two looks. */
  hostDelayMs: 50,
  hostPauseMs: 500,
  /** Another underlay, or another address on it, counts when it has stood this long. */
  hostSettleMs: 300,
  /** Interval of looks at this host's interfaces without any event. */
  hostLookMs: 30_000,
  /** Malformed entries of the datastore that are written to the log one by one. */
  reportedMalformed: 20,
  /**
   * From a doubtful listing, or from the network configuration's return, to the second listing; up to half more by
   * chance. Longer than it takes every node to reach the datastore again and to take its subnet.
   */
  vanishedPauseMs: 8_000,
  /**
   * After a pass: events that come within this pause share the next pass. A data plane in user space is handed all of
   * its peers at a time, so that the pause grows with them: it is 160 ms with 5,000.
   */
  passPauseMs: 10,
  passPauseMsPerPeer: 0.03,
  /** Pauses between passes, or attempts to hand off, that failed. */
  retryBackoff: { firstMs: 100, maxMs: 10_000 },
  /** Up to here a network is small, and its start is run in little memory rather than fast. */
  smallNetworkLeases: 500,
  /** Shortest and longest pause between two records of the data plane's input. An old record is not believed. */
  recordPauseMs: 1_000,
  recordAgainMs: 60_000,
  /** From a change of the firewall's rules to the look at ours. */
  firewallDelayMs: 50,
  /**
   * A call to the kernel, the firewall or a file that takes this long makes the node not ready, or calls for a restart.
   */
  slowCallMs: 4_000,
  hangingCallMs: 60_000,
} as const;

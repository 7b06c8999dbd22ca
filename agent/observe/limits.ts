// Limits of probes and messages to the service manager. Times are in milliseconds.

export const LIMITS = {
  /** A connection is looked at after each such time, and closed at the look after so many: within 2 to 2.5 seconds. */
  httpLookMs: 500,
  httpLooks: 4,
  /** Largest headers, in bytes. */
  httpHeaderBytes: 8_192,
  /** Connections at a time, and those of other hosts among them. */
  httpConnections: 256,
  httpRemoteConnections: 224,
  /** Peers that a status lists by itself. */
  statusPeers: 20,
  /** Peers of one answer. */
  statusPagePeers: 1_000,
  /** Longest path of a unix socket, in bytes. The system cuts a longer one. */
  socketPathBytes: 107,
  /** Connections to the status socket at a time, and the longest silence of one. */
  statusConnections: 32,
  statusSilenceMs: 10_000,
  /** Longest wait for an agent's answer; that of a reading of the kernel; longest answer in bytes. */
  statusAnswerMs: 5_000,
  statusDiffMs: 4_000,
  statusAnswerBytes: 16_777_216,
  /** The last status is written at most once in this time. */
  statusFileMs: 30_000,
  statusFileBytes: 262_144,
  /** Further attempts to send a message to a busy service manager, and the pause before each. */
  serviceNotifyRetries: 10,
  serviceNotifyRetryMs: 100,
} as const;

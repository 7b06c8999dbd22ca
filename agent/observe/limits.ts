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
  /** Further attempts to send a message to a busy service manager, and the pause before each. */
  serviceNotifyRetries: 10,
  serviceNotifyRetryMs: 100,
} as const;

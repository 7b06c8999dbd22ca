// Limits of probes and messages to the service manager. Times are in milliseconds.

export const LIMITS = {
  /** Longest time for one request with its headers. */
  httpRequestMs: 5_000,
  /** Largest headers, in bytes. */
  httpHeaderBytes: 8_192,
  /** Connections at a time. */
  httpConnections: 256,
  /** Longest time for one message to the service manager. */
  serviceNotifyMs: 600,
} as const;

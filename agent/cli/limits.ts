// Limits of the commands.

export const LIMITS = {
  /** Largest network configuration that is written, in bytes. */
  networkConfigBytes: 65_536,
  /** Longest time from SIGTERM to the end of the process, in milliseconds. */
  stopMs: 900,
} as const;

// Limits of the commands.

export const LIMITS = {
  /** Longest time from SIGTERM to the end of the process, in milliseconds. */
  stopMs: 900,
} as const;

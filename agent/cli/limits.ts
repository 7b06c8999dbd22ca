// Limits of the commands.

export const LIMITS = {
  /** Longest time from SIGTERM to the end of the process, in milliseconds. */
  stopMs: 900,
  /** Longest run of an engine's program, in milliseconds. */
  engineMs: 60_000,
  /** Pause between two looks of `twill status --watch`, in milliseconds. */
  watchMs: 2_000,
} as const;

// Limits of the work on the kernel. Times are in milliseconds, sizes in bytes.

export const LIMITS = {
  /** Netlink requests in one message, and the room for them and for their answers. */
  netlinkBatch: 128,
  netlinkBufferBytes: 1024 * 1024,
  /** With more changes than these, nobody listens to their echo; all is read afterwards. */
  quietChanges: 3_000,
  /** Longest time for one netlink request, and for one whole dump. */
  netlinkRequestMs: 5_000,
  /** Room for the kernel's events in a burst, and the interval of the question whether it was too small. */
  kernelEventBytes: 8 * 1024 * 1024,
  kernelLossMs: 1_000,
  /** Events of the kernel that wait for the reconciler. */
  kernelEvents: 200_000,
  /** From a kernel event to the reconciler's pass, so that a burst becomes one pass. */
  reconcileDelayMs: 20,
  /** Pauses between passes in which the kernel refused something. */
  reconcileBackoff: { firstMs: 100, maxMs: 10_000 },
  /** Interval of full passes without any event. */
  reconcileFullPassMs: 30_000,
  /** Refusals of the kernel that one pass writes to the log. */
  reportedFailures: 5,
} as const;

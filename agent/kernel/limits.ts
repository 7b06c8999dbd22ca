// The limits of the work on the kernel. Times are in milliseconds, sizes in bytes.

export const LIMITS = {
  /** The last repairs that are remembered for people. */
  keptRepairs: 50,
  /** Netlink requests in one message. */
  netlinkBatch: 128,
  /** Addresses of a set of nftables in one request, which holds 64 KiB. */
  setElements: 1_000,
  /** Buffers for such a message and for its answers. */
  netlinkBufferBytes: 1024 * 1024,
  /** Buffer for one part of a listing. The kernel fills at most half of it. */
  dumpBufferBytes: 64 * 1024,
  /** During more changes than these the monitors pause; one read afterwards finds everything. */
  quietChanges: 3_000,
  /** Longest time for one netlink request, and for one whole dump. */
  netlinkRequestMs: 5_000,
  /** Receive buffer for a burst of kernel events. */
  kernelEventBytes: 8 * 1024 * 1024,
  /** Interval between checks for lost events. */
  kernelLossMs: 1_000,
  /** Kernel events that wait for the reconciler. */
  kernelEvents: 200_000,
  /** From a kernel event to the reconciler's pass, so that a burst becomes one pass. */
  reconcileDelayMs: 2,
  /**
   * After `freely` repairs in a row, each sooner than `quietMs` after the one before, the next one rests for half as
   * long as the last one took, and the longer that was, the longer: at most `maxTimes` as long.
   */
  repairRest: { freely: 3, quietMs: 1_000, slowMs: 100, maxTimes: 4 },
  /** Pauses after failures to read or to change anything. */
  reconcileBackoff: { firstMs: 100, maxMs: 10_000 },
  /** Pauses of one refused change. Past the longest one it waits for an event, or for the next full pass. */
  refusalBackoff: { firstMs: 100, maxMs: 20_000 },
  /** A repair of a peer's object that is refused for no longer than this is no condition. */
  toleratedRepairMs: 1_000,
  /** Shortest time between two attempts that events of foreign routes cause, for one key. */
  refusalAgainMs: 1_000,
  /**
   * A program is named when it has undone one object `namedAt` times, never `quietMs` apart. Where each repair is
   * undone within `quickMs`, the pauses before the repairs double after `freely` of them, up to `maxPauseMs`.
   */
  fight: { namedAt: 10, quietMs: 15_000, quickMs: 3, freely: 5, maxPauseMs: 5_000 },
  /** Interval of full passes without any event, and what each wanted object adds to it beyond that, up to the most. */
  reconcileFullPassMs: 30_000,
  reconcileObjectMs: 12,
  reconcileFullPassMostMs: 300_000,
  /** Interfaces that an error lists for a choice. */
  listedInterfaces: 12,
  /** Refusals of the kernel that one pass writes to the log. */
  reportedFailures: 5,
} as const;

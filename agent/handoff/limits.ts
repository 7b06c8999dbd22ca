// Limits of the hand-off files.

export const LIMITS = {
  /** Bytes of subnet.env and of the files for engines that are read; none of ours has 1,000. */
  formBytes: 4_096,
  /** Files beside our conflist that are looked at, in the order of a container runtime. */
  cniFiles: 64,
  /** Bytes of a reservation of host-local that are read: the id of a container and the name of its interface. */
  reservationBytes: 1_024,
  /** Bytes of Docker's daemon.json that are read; one of more than this is nobody's. */
  daemonFileBytes: 1_048_576,
  /** Bytes of the data plane's file that are read: 16,000 peers. */
  dataPlaneFileBytes: 1_048_576,
  /**
   * The data plane's file is believed for this long after it was written. Enough for an upgrade, and far less than what
   * is left of a lease when a node renews it: until then nobody else can have claimed our subnet.
   */
  dataPlaneAgeMs: 300_000,
} as const;

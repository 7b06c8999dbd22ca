// Limits of the udp data plane. Times are in milliseconds, sizes in bytes.

export const LIMITS = {
  /** Peers of the forwarder; those beyond are left out. */
  peers: 8_192,
  /** ICMP errors that we send: at once, and a second. */
  icmp: { burst: 64, perSecond: 100 },
  /** Peers with a path MTU below our own link's, and how long such a path MTU is believed. */
  pathLimits: 8_192,
  pathLimitMs: 10_000,
  /** Reads from the TUN device, and receives from the socket, before the forwarder turns to the other side. */
  turnReads: 64,
  turnReceives: 8,
  /** The forwarder looks around at least this often, even if nobody wakes it. */
  idleMs: 1_000,
  /** Failures in a row to read or receive before the forwarder gives up. */
  failures: 64,
  /** Pauses between attempts to open the forwarder's device and socket again. */
  reopen: { firstMs: 50, maxMs: 1_000 },
  /** Room for datagrams on their way, each way; the kernel takes it from us, whatever its limit. */
  socketBufferBytes: 8 * 1024 * 1024,
  /** From telling the forwarder to stop to ending its thread. */
  stopMs: 400,
} as const;

// Limits of the udp data plane. Times are in milliseconds, sizes in bytes.

export const LIMITS = {
  /** Peers of the forwarder. Further ones are left out. */
  peers: 8_192,
  /** ICMP errors that are sent: in one burst, and a second. */
  icmp: { burst: 64, perSecond: 100 },
  /** Peers with a path MTU below our own link's that are remembered. */
  pathLimits: 8_192,
  /** Time after which such a path MTU is forgotten. */
  pathLimitMs: 10_000,
  /** Payload of a datagram that paths usually take: the least MTU of IPv6, less the headers of the datagram. */
  pathFloorBytes: 1_280 - 28,
  /** Reads from the TUN device before the forwarder turns to the socket. */
  turnReads: 64,
  /** Receives from the socket before the forwarder turns to the TUN device. */
  turnReceives: 8,
  /** The forwarder looks for new peers and for the order to stop at least this often, also where nothing wakes it. */
  idleMs: 1_000,
  /** Failures in a row to read or receive before the forwarder gives up. */
  failures: 64,
  /** Pauses between attempts to open the forwarder's device and socket again. */
  reopen: { firstMs: 50, maxMs: 1_000 },
  /** Socket buffer, each way. The system's limit does not apply to a process with CAP_NET_ADMIN. */
  socketBufferBytes: 8 * 1024 * 1024,
  /** Time that the forwarder has to stop by itself, before its thread is ended. */
  stopMs: 400,
} as const;

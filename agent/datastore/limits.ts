// Limits of the datastores. Times are in milliseconds, sizes in bytes.
import { NETWORK_CONFIG_BYTES } from '../model/limits.ts';

export const LIMITS = {
  /** Largest file of certificates or of a key. A system's bundle of CAs has 250,000 bytes. */
  tlsFileBytes: 1_048_576,
  /** Longest time for one request. */
  datastoreRequestMs: 5_000,
  /** A session that was not kept alive after this time is asked for once more, after this pause. */
  keepAliveMs: 1_500,
  keepAlivePauseMs: 200,
  /** An idle connection is pinged after this time, and given up after the second ping without an answer. */
  datastorePingMs: 6_000,
  datastorePingTimeoutMs: 3_000,
  /** Largest answer that is read: 5,000 leases are about 1.5 MB. A larger one is asked for in smaller pages. */
  datastoreAnswerBytes: 16 * 1024 * 1024,
  /** A larger value is not decoded; those of flannel have less than 1 KiB. Of a longer key the beginning is read. */
  valueBytes: NETWORK_CONFIG_BYTES,
  keyBytes: 1024,
  /** Keys in one page of a listing, and the divisor of that number where the page is too large. */
  pageKeys: 10_000,
  pageShrink: 8,
  /** Attempts to list a store whose history is compacted meanwhile. */
  listAttempts: 3,
  /** Keys of a listing, and their characters with those of the values. More are refused. */
  listedKeys: 250_000,
  listedChars: 64 * 1024 * 1024,
  /** Length of a server's reason for a refusal, in characters. */
  reasonChars: 500,
  /** If a server is silent for this time, the next one is asked as well. */
  datastoreStaggerMs: 200,
  /** Bytes that the server may send without our acknowledgement. */
  datastoreWindowBytes: 4 * 1024 * 1024,
  /**
   * Longest time between a listing and the watch that continues it. If exceeded (the process was suspended), the store
   * is listed again.
   */
  datastoreHandoverMs: 10_000,
  /** A watch that lasted this long resets the back-off. */
  datastoreStableMs: 5_000,
  /**
   * A watch that told nothing for this time is checked with one read of two keys. With more leases it is checked less
   * often: idle nodes together send a hundred of these reads a second at most.
   */
  datastoreSilenceMs: 20_000,
  datastoreSilencePerLeaseMs: 10,
  /** Largest file of the file store's state, and of a session. */
  fileStoreBytes: 32 * 1024 * 1024,
  sessionFileBytes: 64,
  /** Changes that the file store keeps for late watchers. */
  fileStoreHistory: 256,
  /** Revisions of the file store that are kept in its folder. */
  fileStoreRevisions: 64,
  /** Interval of polling the file store, in case the kernel's notifications fail. */
  fileStorePollMs: 1_000,
  /** Attempts to write the file store against other writers. */
  fileStoreAttempts: 400,
  /** Attempts to write the network configuration against other writers. */
  configAttempts: 64,
  /** Attempts to write a lease against other writers, such as nodes that ask about it. */
  leaseAttempts: 16,
  /** Unread events of a watch. More of them break the watch. */
  storeEvents: 100_000,
} as const;

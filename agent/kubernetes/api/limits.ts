// Limits of the client of the Kubernetes API. Times are in milliseconds, sizes in bytes. A server, a proxy before it
// and the files of a kubeconfig may be hostile.
import type { Backoff } from '../../base/retry.ts';

const BACKOFF: Backoff = { firstMs: 500, maxMs: 30_000 };

export const LIMITS = {
  /** Largest kubeconfig; one with many clusters has some 100,000 bytes. */
  kubeconfigBytes: 1_048_576,
  /** Largest file of certificates or of a key, and of a token. */
  pemBytes: 1_048_576,
  tokenBytes: 65_536,
  /** The first byte of an answer, and each further one, comes within this time. */
  silenceMs: 30_000,
  /** Longest time for a whole answer that is no watch. A page of 500 Nodes has 10 MB. */
  answerMs: 120_000,
  /** Largest single object. etcd's own limit is 1.5 MB; a Node has 10 to 20 kB. */
  objectBytes: 3 * 1024 * 1024,
  /** Largest answer to a failed request, and the length of the server's reason in our message, in characters. */
  statusBytes: 65_536,
  reasonChars: 500,
  /** Objects in one page of a list. */
  pageItems: 500,
  /** Objects of a whole list, and the bytes around those of one page. */
  listedItems: 50_000,
  envelopeBytes: 65_536,
  /** Bytes of a list that are looked at together. They hold some objects, and at least one. */
  batchBytes: 65_536,
  /** How often a list begins again because its pages have expired. */
  listAttempts: 3,
  /** A server is asked to end a watch after a random time between these, so that watches spread over the servers. */
  watchLeastMs: 300_000,
  watchMostMs: 600_000,
  /** A watch without a byte is given up after this time: a server sends a bookmark about every minute. */
  watchSilenceMs: 150_000,
  /** A watch that lasted this long resets the back-off. */
  watchStableMs: 5_000,
  /** Pauses between attempts, and the longest pause that a server may ask for. */
  backoff: BACKOFF,
  retryAfterMs: 300_000,
  /** An idle connection is probed after this time. */
  keepAliveMs: 30_000,
  /** Idle connections that are kept. */
  idleConnections: 2,
} as const;

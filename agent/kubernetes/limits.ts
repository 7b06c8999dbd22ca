// Limits of what is read from Nodes and written into the own one. Sizes are in characters, times in milliseconds.
import type { Backoff } from '../base/retry.ts';

const REWRITE_BACKOFF: Backoff = { firstMs: 2_000, maxMs: 60_000 };

export const LIMITS = {
  /** Longest prefix of annotations: the API takes names of 253 and 63 characters, with a slash between. */
  prefixChars: 300,
  /**
   * Longest value of an annotation that is read. flannel's have about 100; a value that an extension gives may have
   * more.
   */
  annotationChars: 8_192,
  /** Longest podCIDR: that of a whole IPv6 address. */
  podCidrChars: 64,
  /** Pause before a second look at a list that is hard to believe; up to half of it is added. */
  secondLookMs: 8_000,
  /** Pauses between writes that others demand by their own: the first is at once. */
  rewriteBackoff: REWRITE_BACKOFF,
  /** So many of these writes without a quiet time between show that another program does not give way. */
  fightRewrites: 3,
  /** After this time without such a write the pauses begin anew. */
  quietMs: 300_000,
  /** For this time the answer to a write counts more than an older Node that the watch tells of. */
  staleMs: 10_000,
  /** podCIDRs that are read of a Node: more are as wrong as three. */
  podCidrs: 4,
  /** Bytes of the file of Nodes that are read: 12,000 Nodes. */
  cacheBytes: 4_194_304,
  /** The file is used when the API has not answered for this time after the start. */
  cacheAfterMs: 1_000,
  /** Time from a change to its write into the file, and least time from that to the next. */
  cacheDelayMs: 1_000,
  cachePauseMs: 60_000,
} as const;

// Limits of what is read from Nodes. Sizes are in characters, times in milliseconds.
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
} as const;

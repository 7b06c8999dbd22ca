// A token bucket: a rate limit that lets a burst pass.

export interface TokenBucket {
  /** Takes a token, and gives whether there was one. Times must not go back. */
  take(nowMs: number): boolean;
}

/** A full bucket of `burst`, refilled evenly. */
export function createTokenBucket(limit: {
  readonly burst: number;
  readonly perSecond: number;
}): TokenBucket {
  let tokens = limit.burst;
  let lastMs: number | undefined;
  return {
    take(nowMs) {
      const passedMs = nowMs - (lastMs ?? nowMs);
      lastMs = nowMs;
      tokens = Math.min(limit.burst, tokens + (passedMs * limit.perSecond) / 1000);
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}

// When this node may write into its own Node again. After a failure it backs off. Others may overwrite it without end,
// as a controller does that writes old copies of Nodes back: the first answer is at once, later ones have growing
// pauses, so that nobody fights.
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { pauseMs } from './api/persist.ts';
import { LIMITS } from './limits.ts';

export class RewritePace {
  readonly #clock: Clock;
  readonly #random: Random;
  /** Failed writes in a row. */
  #failures = 0;
  /** Writes in a row that others demanded, without a quiet time between. */
  #rewrites = 0;
  #rewrittenMs = Number.NEGATIVE_INFINITY;
  #retryMs = Number.NEGATIVE_INFINITY;
  #rewriteMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Milliseconds until the next write; 0 or less: now. `isByOthers`: a write of others demands it. */
  leftMs(isByOthers: boolean): number {
    const atMs = isByOthers ? Math.max(this.#retryMs, this.#rewriteMs) : this.#retryMs;
    return atMs - this.#clock.monotonicMs();
  }

  /** Gives the number of writes in a row that others demanded, with this one; 0: it is none. */
  succeed(isByOthers: boolean): number {
    this.#failures = 0;
    this.#retryMs = Number.NEGATIVE_INFINITY;
    if (!isByOthers) return 0;
    const nowMs = this.#clock.monotonicMs();
    this.#rewrites = nowMs - this.#rewrittenMs > LIMITS.quietMs ? 1 : this.#rewrites + 1;
    this.#rewrittenMs = nowMs;
    this.#rewriteMs = nowMs + backoffMs(LIMITS.rewriteBackoff, this.#rewrites, this.#random);
    return this.#rewrites;
  }

  fail(error: unknown): void {
    this.#failures += 1;
    this.#retryMs = this.#clock.monotonicMs() + pauseMs(error, this.#failures, this.#random);
  }
}

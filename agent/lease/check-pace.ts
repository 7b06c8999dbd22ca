// When a holder may ask the store about its lease again. After a failure it backs off. Other nodes may write its key
// without end, by mistake or in bad faith: the first answer is at once, each later one after a pause.
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { LIMITS } from './limits.ts';

export class CheckPace {
  readonly #clock: Clock;
  readonly #random: Random;
  /** Failed checks in a row. */
  #failures = 0;
  /** There is no check before that moment. */
  #notBeforeMs = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Whether the last check has failed, and so is due again. */
  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  /** Milliseconds until the next check; 0 or less: now. `isByOthers`: another node's write demands it. */
  leftMs(isByOthers: boolean): number {
    return isByOthers || this.hasFailed ? this.#notBeforeMs - this.#clock.monotonicMs() : 0;
  }

  /** The store has answered, and our key is as we want it. `isByOthers`: another node's write demanded that. */
  succeed(isByOthers: boolean): void {
    this.#failures = 0;
    if (isByOthers) this.#notBeforeMs = this.#clock.monotonicMs() + LIMITS.rewritePauseMs;
  }

  /** The store has not answered a check. */
  fail(): void {
    this.#failures += 1;
    this.#notBeforeMs =
      this.#clock.monotonicMs() + backoffMs(DATASTORE_BACKOFF, this.#failures, this.#random);
  }

  /** Another node waits for the next check: a long back-off ends. */
  hurry(): void {
    this.#notBeforeMs = Math.min(this.#notBeforeMs, this.#clock.monotonicMs() + LIMITS.rewritePauseMs);
  }
}

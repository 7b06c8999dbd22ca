// Counts the requests to the datastore, whichever it is.
import type { Clock } from '../base/clock.ts';
import { Histogram, type Metric, single, Tally } from './metrics.ts';

export type StoreOperation = 'list' | 'read' | 'create' | 'update' | 'delete' | 'session' | 'watch';
export type WatchEnd = 'ended' | 'failed' | 'history_lost' | 'reconnect';

const BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

const CONTACT_MS = 1_000;

export class StoreRequests {
  readonly #clock: Clock;
  readonly #requests = new Tally('op', 'result');
  readonly #durations = new Histogram(BOUNDS_SECONDS);
  readonly #restarts = new Tally('reason');
  /** On the boot clock. Undefined: it has not answered yet. */
  #contactMs: number | undefined;
  /** The time of that on the monotonic clock. */
  #notedMs = -CONTACT_MS;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs a request and counts it, unless it fails after `signal` was aborted. */
  async during<T>(
    operation: StoreOperation,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const startMs = this.#clock.monotonicMs();
    try {
      const answer = await work();
      this.#count(operation, 'ok', startMs);
      this.noteContact();
      return answer;
    } catch (error) {
      if (signal?.aborted !== true) this.#count(operation, 'failed', startMs);
      throw error;
    }
  }

  /** Takes notice of a sign of life, to the second: the boot clock costs a call of the system. */
  noteContact(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#notedMs + CONTACT_MS) return;
    this.#notedMs = nowMs;
    this.#contactMs = this.#clock.bootMs();
  }

  /** Takes notice of the end of a watch. */
  noteEnd(reason: WatchEnd): void {
    this.#restarts.add(reason);
  }

  metrics(): readonly Metric[] {
    const { wallMs, bootMs } = { wallMs: this.#clock.wallMs(), bootMs: this.#clock.bootMs() };
    const contact =
      this.#contactMs === undefined
        ? []
        : [single(CONTACT, Math.round((wallMs - bootMs + this.#contactMs) / 1_000))];
    return [
      ...contact,
      this.#requests.metric('twill_store_requests_total'),
      this.#durations.metric('twill_store_request_duration_seconds'),
      this.#restarts.metric('twill_store_watch_restarts_total'),
    ];
  }

  #count(operation: StoreOperation, result: 'ok' | 'failed', startMs: number): void {
    this.#requests.add(operation, result);
    this.#durations.add((this.#clock.monotonicMs() - startMs) / 1_000);
  }
}

const CONTACT = 'twill_store_last_contact_timestamp_seconds';

// One run of a node's process, from start to end. Everything that the process awaits comes through here. In a paused
// process it resolves late. In a killed process it never resolves.
import type { Clock } from '../../agent/base/clock.ts';

export class Life {
  /** The process's own time. The machine's wall clock may be wrong. */
  readonly clock: Clock;
  readonly #real: Clock;
  readonly #lagMs: () => number;
  readonly #killed = new AbortController();
  #pausedUntilMs = 0;
  #suspendedMs = 0;

  /** `lagMs`: the time that the next step takes beyond the work itself. */
  constructor(real: Clock, wallOffsetMs: () => number, lagMs: () => number) {
    this.#real = real;
    this.#lagMs = lagMs;
    this.clock = {
      monotonicMs: () => real.monotonicMs() - this.#suspendedMs,
      bootMs: () => real.bootMs(),
      wallMs: () => real.wallMs() + wallOffsetMs(),
      sleep: (ms, signal) => this.pass(real.sleep(ms, signal)),
    };
  }

  get isOver(): boolean {
    return this.#killed.signal.aborted;
  }

  /** Aborted when the process is killed; ends work of the world for the process. */
  get killed(): AbortSignal {
    return this.#killed.signal;
  }

  /** Kills the process: no await of it resolves any more. */
  kill(): void {
    this.#killed.abort();
  }

  /** Pauses the process for `ms`. With the whole machine, its monotonic clock stands still, too. */
  pause(ms: number, withMachine: boolean): void {
    const before = Math.max(this.#pausedUntilMs, this.#real.monotonicMs());
    this.#pausedUntilMs = Math.max(before, this.#real.monotonicMs() + ms);
    if (withMachine) this.#suspendedMs += this.#pausedUntilMs - before;
  }

  /** The time of the simulation's clock, which no process can see. */
  realMs(): number {
    return this.#real.monotonicMs();
  }

  /** Time since `sinceMs`, or since the end of the last pause if that is later. */
  awakeMs(sinceMs: number): number {
    return this.#real.monotonicMs() - Math.max(sinceMs, this.#pausedUntilMs);
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs > this.#real.monotonicMs();
  }

  /** Passes on an answer of the world as soon as the process runs. */
  async pass<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } finally {
      const lagMs = this.#lagMs();
      if (lagMs > 0) await this.#real.sleep(lagMs);
      await this.#awake();
    }
  }

  async #awake(): Promise<void> {
    while (this.isPaused) await this.#real.sleep(this.#pausedUntilMs - this.#real.monotonicMs());
    // A new promise each time, so that no shared promise keeps its waiters in memory.
    if (this.isOver) await new Promise<never>(() => undefined);
  }
}

/** Rejects with the signal's reason as soon as it is aborted. It then ignores the outcome of `work`. */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  work.catch(() => undefined);
  if (signal === undefined) return work;
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

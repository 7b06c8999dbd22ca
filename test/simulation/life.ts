// One run of a node's process, from its start to its end. Whatever the process waits for comes through here: when the
// process is paused it comes late, and when it was killed it never comes, as if at that very await.
import type { Clock } from '../../agent/base/clock.ts';

export class Life {
  /** The process's own time: the machine's wall clock may be wrong. */
  readonly clock: Clock;
  readonly #real: Clock;
  readonly #killed = new AbortController();
  #pausedUntilMs = 0;
  #suspendedMs = 0;

  constructor(real: Clock, wallOffsetMs: () => number) {
    this.#real = real;
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

  /** Aborted when the process is killed: for what the world does on its behalf. */
  get killed(): AbortSignal {
    return this.#killed.signal;
  }

  /** Nothing reaches the process any more, and it does nothing. */
  kill(): void {
    this.#killed.abort();
  }

  /** Nothing reaches the process for `ms`. With the whole machine its monotonic clock stands still, too. */
  pause(ms: number, withMachine: boolean): void {
    const before = Math.max(this.#pausedUntilMs, this.#real.monotonicMs());
    this.#pausedUntilMs = Math.max(before, this.#real.monotonicMs() + ms);
    if (withMachine) this.#suspendedMs += this.#pausedUntilMs - before;
  }

  /** What the simulation's clock says, which no process can see. */
  realMs(): number {
    return this.#real.monotonicMs();
  }

  /** For how long the process could have done something about what happened at `sinceMs`. */
  awakeMs(sinceMs: number): number {
    return this.#real.monotonicMs() - Math.max(sinceMs, this.#pausedUntilMs);
  }

  get isPaused(): boolean {
    return this.#pausedUntilMs > this.#real.monotonicMs();
  }

  /** What the world answers, when the process can take it. */
  async pass<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } finally {
      await this.#awake();
    }
  }

  async #awake(): Promise<void> {
    while (this.isPaused) await this.#real.sleep(this.#pausedUntilMs - this.#real.monotonicMs());
    // One of its own, so that nothing remembers who waits.
    if (this.isOver) await new Promise<never>(() => undefined);
  }
}

/** Fails with the signal's reason as soon as it is aborted; what becomes of `work` then is nobody's concern. */
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

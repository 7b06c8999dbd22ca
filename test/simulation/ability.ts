// Whether a host's agent can hear the store and act, and for how long it could without a break. Only an agent that
// could is held to a promise.
import type { Cluster } from './cluster.ts';
import type { Host } from './host.ts';

// Between news and the end of an answer: journeys to or from the store, steps of the agent's own, and other work.
const TRIPS = 8;
const STEPS = 10;
const WORK_MS = 500;

export class Ability {
  readonly #cluster: Cluster;
  readonly #host: Host;
  #sinceMs: number | undefined;
  /** The lag of steps that began before the machine became faster, and when the last of them has ended. */
  #former = { lagMs: 0, untilMs: 0 };

  constructor(cluster: Cluster, host: Host) {
    this.#cluster = cluster;
    this.#host = host;
  }

  /** Milliseconds for which the agent has run, undisturbed, and heard the store; 0: it does not at this moment. */
  get ms(): number {
    return this.#sinceMs === undefined ? 0 : this.#cluster.clock.monotonicMs() - this.#sinceMs;
  }

  /** An undisturbed agent has acted on news after so many milliseconds. */
  get reactionMs(): number {
    return WORK_MS + TRIPS * this.#cluster.weather.now.delayMs + STEPS * this.#host.mostLagMs;
  }

  /** The most time that a step of the agent takes beyond the work itself, among those that may be under way. */
  get lagMs(): number {
    const { lagMs, untilMs } = this.#former;
    const now = this.#host.mostLagMs;
    return this.#cluster.clock.monotonicMs() <= untilMs ? Math.max(now, lagMs) : now;
  }

  /** The machine or its way to the store becomes faster now. Steps that have begun take as long as before. */
  quicken(): void {
    const { way, mostLagMs } = this.#host;
    const untilMs = this.#cluster.clock.monotonicMs() + this.reactionMs;
    way.troubledUntilMs = Math.max(way.troubledUntilMs, untilMs);
    this.#former = { lagMs: mostLagMs, untilMs };
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { clock, server } = this.#cluster;
    const { way, life, witness } = this.#host;
    const isWayFree = way.state === 'open' && server.restarts === 0 && way.failing === 0;
    const isCalm = isWayFree && way.troubledUntilMs <= clock.monotonicMs();
    if (!isCalm || witness?.watches !== true || life?.isPaused === true) this.#sinceMs = undefined;
    else this.#sinceMs ??= clock.monotonicMs();
  }
}

// What nodes ask the holders of leases through the store, and whether a holder could have answered. Through a store
// alone nobody can tell a holder that is gone from one that is cut off, so this is what is promised: who holds a
// lease, hears, and is free to answer for as long as a question stands keeps the lease.
import { LIMITS } from '../../agent/limits.ts';
import type { Cluster } from './cluster.ts';
import type { Host } from './host.ts';

interface Question {
  readonly subnet: string;
  readonly by: Host;
  readonly sinceMs: number;
  isAnswered: boolean;
}

/** With longer ways than this an answer may come too late, whatever the holder does: its watch delivers twice in a row. */
const SWIFT_MS = LIMITS.challengeWaitMs / 4;

export class Questions {
  readonly #cluster: Cluster;
  readonly #asked = new Map<string, Question>();
  /** When each host was last unable to answer at once. */
  readonly #unableMs = new Map<Host, number>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A node has written a question about a subnet. */
  ask(host: Host, key: string, subnet: string): void {
    const sinceMs = this.#cluster.clock.monotonicMs();
    this.#asked.set(key, { subnet, by: host, sinceMs, isAnswered: false });
  }

  /** Somebody has deleted a question. */
  answer(key: string): void {
    const question = this.#asked.get(key);
    if (question !== undefined) question.isAnswered = true;
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { clock, hosts } = this.#cluster;
    for (const host of hosts) if (!host.canAnswer) this.#unableMs.set(host, clock.monotonicMs());
  }

  /** The law that `host` breaks by taking over the lease of a subnet that `owner` wrote; undefined: none. */
  brokenBy(host: Host, owner: Host, subnet: string): string | undefined {
    const { clock, weather } = this.#cluster;
    const untilMs = clock.monotonicMs() - LIMITS.challengeWaitMs;
    const question = [...this.#asked.values()].findLast(
      (asked) =>
        asked.by === host && asked.subnet === subnet && (asked.isAnswered || asked.sinceMs <= untilMs),
    );
    if (question === undefined) return 'a lease is taken over only after asking';
    const couldAnswer =
      owner.witness?.holds(subnet) === true &&
      (this.#unableMs.get(owner) ?? 0) < question.sinceMs &&
      weather.now.delayMs <= SWIFT_MS;
    return question.isAnswered || couldAnswer ? 'who can answer keeps its lease' : undefined;
  }
}

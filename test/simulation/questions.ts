// The questions of nodes to the holders of leases through the store, and whether a holder could have answered. A store
// cannot tell a holder that is gone from one that is cut off. So the promise is: a holder that hears and can answer as
// long as a question stands keeps its lease.

import type { KvEntry } from '../../agent/model/kv.ts';
import { CHALLENGE_WAIT_MS } from '../../agent/model/limits.ts';
import type { Cluster } from './cluster.ts';
import type { Host } from './host.ts';

interface Question {
  readonly by: Host;
  readonly subnet: string;
  readonly revision: number;
  readonly sinceMs: number;
  isAnswered: boolean;
  /** The hosts that could not have answered at once at some moment of the wait. */
  readonly unable: Set<Host>;
}

/**
 * The longest delay with which an answer surely comes in time: a holder's watch delivers twice in a row, and each of
 * three requests goes there and back.
 */
const SWIFT_MS = CHALLENGE_WAIT_MS / 8;

export class Questions {
  readonly #cluster: Cluster;
  #asked: Question[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** A node has written a question about a subnet. */
  ask(by: Host, { revision }: KvEntry, subnet: string): void {
    const sinceMs = this.#cluster.clock.monotonicMs();
    this.#asked.push({ by, subnet, revision, sinceMs, isAnswered: false, unable: new Set() });
  }

  /** The owner has written its lease. The asking nodes may have stopped waiting already. */
  answer(subnet: string): void {
    for (const question of this.#asked) if (question.subnet === subnet) question.isAnswered = true;
  }

  /** Another node has the subnet now. */
  forget(subnet: string): void {
    this.#asked = this.#asked.filter((question) => question.subnet !== subnet);
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { hosts, weather } = this.#cluster;
    const isSlow = weather.now.delayMs > SWIFT_MS;
    for (const question of this.#asked) {
      if (!this.#stands(question)) continue;
      for (const host of hosts) if (isSlow || !host.canAnswerFor(question.subnet)) question.unable.add(host);
    }
  }

  /**
   * The law that `host` breaks when it writes over the lease of a subnet, written by `owner`; undefined: none. `host`
   * may have asked again since its decision: the store may carry out a request long after its client has given up.
   */
  brokenBy(host: Host, owner: Host, before: KvEntry, subnet: string): string | undefined {
    const asked = this.#asked.filter(
      (question) =>
        question.by === host && question.subnet === subnet && question.revision <= before.revision,
    );
    const over = asked.filter((question) => question.isAnswered || !this.#stands(question));
    if (over.length === 0) return 'a lease is taken over only after asking';
    return over.some(({ isAnswered, unable }) => !isAnswered && unable.has(owner))
      ? undefined
      : 'who can answer keeps its lease';
  }

  #stands({ sinceMs }: Question): boolean {
    return this.#cluster.clock.monotonicMs() < sinceMs + CHALLENGE_WAIT_MS;
  }
}

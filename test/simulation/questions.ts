// The questions of nodes to the holders of leases through the store, and whether a holder could have answered. A store
// cannot tell a holder that is gone from one that is cut off. So the promise is: a holder that hears and can answer as
// long as a question stands keeps its lease. Here a question is a write of another node's lease that leaves it with its
// owner, and an answer is any write by the owner.
import { LIMITS } from '../../agent/lease/limits.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import type { LeaseAttrs } from '../../agent/model/lease.ts';
import { CHALLENGE_WAIT_MS } from '../../agent/model/limits.ts';
import type { Cluster } from './cluster.ts';
import type { Host } from './host.ts';

interface Question {
  readonly by: Host;
  readonly key: string;
  readonly subnet: string;
  readonly sinceMs: number;
  /** The lease has been written since, or has gone. */
  isOver: boolean;
  /** The hosts that held the subnet and were undisturbed for long enough to answer. */
  readonly able: Set<Host>;
}

export class Questions {
  readonly #cluster: Cluster;
  /** The latest one of each node about each lease. */
  #asked: readonly Question[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * A node has written a question about a lease. `isSteady`: it still runs, on a machine that has been the same since
   * its start. Returns the law that it breaks; undefined: none.
   */
  ask(by: Host, isSteady: boolean, key: string, subnet: string, attrs: LeaseAttrs): string | undefined {
    const sinceMs = this.#cluster.clock.monotonicMs();
    const others = this.#asked.filter((question) => question.by !== by || question.key !== key);
    this.#asked = [...others, { by, key, subnet, sinceMs, isOver: false, able: new Set() }];
    return isSteady && !mayBeOwn(by, subnet, attrs) ? 'nobody asks about a lease without need' : undefined;
  }

  /** The lease with this key was written without a question, or has gone. */
  end(key: string): void {
    for (const question of this.#asked) if (question.key === key) question.isOver = true;
  }

  /** Everything has come to rest at this moment. */
  rest(): void {
    const { hosts, clock } = this.#cluster;
    for (const { subnet, sinceMs, isOver, able } of this.#asked) {
      if (isOver) continue;
      for (const host of hosts) {
        const heldMs = host.witness?.heldMs(subnet) ?? 0;
        const hadMs = Math.min(heldMs, host.ability.ms, clock.monotonicMs() - sinceMs);
        // A holder that has just answered another question pauses before it answers this one.
        if (hadMs > host.ability.reactionMs + LIMITS.rewritePauseMs) able.add(host);
      }
    }
  }

  /** The law that `by` breaks when it writes over a lease; undefined: none. `owner` undefined: a stranger. */
  brokenBy(by: Host, owner: Host | undefined, key: string): string | undefined {
    const asked = this.#asked.find((question) => question.by === by && question.key === key);
    if (asked === undefined) return 'a lease is taken over only after asking';
    const isAble = owner !== undefined && asked.able.has(owner);
    if (asked.isOver || isAble) return 'who can answer keeps its lease';
    const waitedMs = this.#cluster.clock.monotonicMs() - asked.sinceMs;
    return waitedMs < CHALLENGE_WAIT_MS ? 'who is asked has time to answer' : undefined;
  }
}

/** Whether a lease that is not surely this node's may be. */
function mayBeOwn({ facts, handOff, handedOff, witness }: Host, subnet: string, attrs: LeaseAttrs): boolean {
  const { id, mac } = facts.node;
  const isSameMachine = attrs.node?.id === id;
  const isSameCard = mac === attrs.node?.mac || mac === undefined || attrs.node?.mac === undefined;
  if (attrs.publicIP.ipv4 === facts.ends.ipv4?.publicIP) return !(isSameMachine && isSameCard);
  if (!isSameMachine) return false;
  if (mac !== undefined && mac === attrs.node?.mac) return true;
  const previous = [handOff.env, ...handedOff].map((env) => env && formatPrefix(env.subnet));
  return previous.includes(subnet) || witness?.hasHeld(subnet) === true;
}

// A condition says why a part of the node is not as it should be. Each part keeps its own. A node is ready when no part
// has one about the node itself.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';

export interface Condition {
  /** The part that reports it, such as `lease` or `kernel`. */
  readonly part: string;
  /**
   * - `waiting`: the part waits for something that is no fault.
   * - `failing`: something is wrong.
   */
  readonly state: 'waiting' | 'failing';
  /** One line for the operator. */
  readonly reason: string;
  /** When the part came into this state, on the monotonic clock; undefined: the part does not know. */
  readonly sinceMs?: number | undefined;
}

/** The node at the other end, as a condition names it. */
export interface PeerName {
  readonly subnet: string;
  readonly publicIP: string;
  /** Its host name; undefined: its lease has none. */
  readonly name: string | undefined;
}

/** A condition about one peer. The node is ready all the same. */
export interface PeerCondition extends Condition {
  readonly peer: PeerName;
}

/** The one condition of a part, which comes, changes and goes. */
export interface ConditionSlot {
  readonly current: Condition | undefined;
  /** Sets a condition of state `waiting`, and logs nothing. */
  wait(reason: string): void;
  /**
   * Sets a condition of state `failing`, and logs the reason unless the current one is of the same kind. Default: the
   * same text.
   */
  fail(reason: string, kind?: string): void;
  /** Removes the condition. True: there was one. */
  clear(): boolean;
}

export function createConditionSlot(
  part: string,
  log: Logger,
  clock: Pick<Clock, 'monotonicMs'>,
): ConditionSlot {
  let current: Condition | undefined;
  let currentKind: string | undefined;
  const set = (state: Condition['state'], reason: string): void => {
    const sinceMs = current?.state === state ? current.sinceMs : clock.monotonicMs();
    current = { part, state, reason, sinceMs };
  };
  return {
    get current() {
      return current;
    },
    wait(reason) {
      currentKind = undefined;
      set('waiting', reason);
    },
    fail(reason, kind = reason) {
      if (currentKind !== kind) log.error(reason);
      currentKind = kind;
      set('failing', reason);
    },
    clear() {
      const had = current !== undefined;
      current = undefined;
      currentKind = undefined;
      return had;
    },
  };
}

/** The conditions of these slots, in their order. */
export function conditionsIn(...slots: readonly ConditionSlot[]): readonly Condition[] {
  return slots.flatMap(({ current }) => current ?? []);
}

/** The same conditions, failing ones first: people are shown the first reason. */
export function failingFirst(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.toSorted((a, b) => Number(a.state === 'waiting') - Number(b.state === 'waiting'));
}

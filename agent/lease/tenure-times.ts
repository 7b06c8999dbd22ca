// When a tenure came into its state, and when it ends.
import type { Clock } from '../base/clock.ts';
import type { Condition } from '../model/condition.ts';
import type { LeaseTerm } from '../model/status.ts';
import { settled, type Tenure } from './tenure.ts';
import { conditionOf } from './tenure-report.ts';

export class TenureTimes {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  /** When the store kept the lease alive last. */
  #keptMs = 0;
  #conditionMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#conditionMs = clock.monotonicMs();
  }

  changed(before: Tenure, next: Tenure): void {
    const nowMs = this.#clock.monotonicMs();
    if (next.kind === 'held' && (before.kind !== 'held' || next.lease !== before.lease)) this.#keptMs = nowMs;
    const [was, is] = [conditionOf(before, true), conditionOf(next, true)];
    if (was?.reason !== is?.reason) this.#conditionMs = nowMs;
  }

  term(tenure: Tenure): LeaseTerm | undefined {
    const now = settled(tenure);
    if (now.kind !== 'held') return undefined;
    const { ttlSeconds } = now.lease;
    if (ttlSeconds === undefined) return { kind: 'reserved', expiresMs: undefined };
    return { kind: 'leased', expiresMs: this.#keptMs + ttlSeconds * 1000 };
  }

  condition(tenure: Tenure, hasConfig: boolean): Condition | undefined {
    const condition = conditionOf(tenure, hasConfig);
    return condition && { ...condition, sinceMs: this.#conditionMs };
  }
}

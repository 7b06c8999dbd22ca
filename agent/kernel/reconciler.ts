// Makes the kernel equal to the wanted host state, and keeps it so.
//
//     want(changes) ──────────▶ pending ─┐ (the kernel is known: the pending keys alone are written)
//     event of one entry ──────▶ pending ─┼─▶ pass ──▶ kernel.apply ──▶ refused: tried again at its own pace
//     event that may mean more ▶ unknown ─┘ (all is read and compared)
//
// Events and calls only ring a bell; one loop does the work. A refused change stops nothing else. One that is about a
// peer is a condition about that peer: the node is ready all the same.
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { runTasks } from '../base/tasks.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import type { Condition, PeerCondition, PeerName } from '../model/condition.ts';
import {
  type HostObject,
  type HostState,
  type HostStateChanges,
  keyOf,
  recognize,
} from '../model/host-state.ts';
import type { Change, ChangeFailure, Kernel, KernelEvent } from '../model/kernel.ts';
import type { Metric } from '../model/metrics.ts';
import type { Repair } from '../model/status.ts';
import { diff } from './diff.ts';
import { KernelNumbers } from './kernel-numbers.ts';
import { Ledger, type Steps } from './ledger.ts';
import { LIMITS } from './limits.ts';
import { ReconcilerReport } from './reconciler-report.ts';

export interface ReconcilerDeps {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The peer that the object of this key leads to; undefined: the object is the node's own. */
  readonly peerOf: (key: string) => PeerName | undefined;
}

export class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #bell;
  readonly #ledger = new Ledger();
  #isReading = false;
  /** Calls of `want`, and the last one of them that a pass has applied. */
  #calls = 0;
  #applied = 0;
  /** Passes in a row that could not read or write anything. */
  #failuresInRow = 0;
  /** When all was read last. */
  #readMs = 0;
  /** The last repair: its end, how long it took, and how many came before it without a quiet time. */
  #repair = { endMs: -Infinity, tookMs: 0, inRow: 0 };
  readonly #report;
  readonly #numbers = new KernelNumbers();

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
    this.#report = new ReconcilerReport(deps.log);
  }

  /** Changes the wanted host state. Gives the number that `applied` reaches when the kernel holds it. */
  want(changes: HostStateChanges): number {
    if (changes.size === 0 && this.#calls > 0) return this.#calls;
    for (const [key, { after }] of changes) this.#ledger.set(key, after);
    this.#calls++;
    this.#bell.ring();
    return this.#calls;
  }

  /** The number of the last call of `want` that was applied, as far as the kernel took it. */
  get applied(): number {
    return this.#applied;
  }

  /** Whether anything was wanted yet, perhaps nothing. */
  get isWanted(): boolean {
    return this.#calls > 0;
  }

  /** Objects that were repaired after somebody else had changed them, since the start. */
  get drift(): number {
    return this.#report.drift;
  }

  metrics(): readonly Metric[] {
    return [...this.#numbers.metrics(this.#ledger.wanted.values()), this.#report.metric()];
  }

  /** The last repairs, oldest first. */
  get repairs(): readonly Repair[] {
    return this.#report.repairs;
  }

  /** The objects that are wanted, by key. */
  get wanted(): ReadonlyMap<string, HostObject> {
    return this.#ledger.wanted;
  }

  /** The changes that would make the kernel hold what is wanted now. Reads it, and changes nothing. */
  async difference(signal: AbortSignal): Promise<readonly Change[]> {
    const actual = await this.#deps.kernel.read(signal);
    const { wanted } = this.#ledger;
    return diff(
      [...wanted.values()],
      actual.map((object) => recognize(wanted, object)),
    );
  }

  /** The conditions about this node. */
  conditions(): readonly Condition[] {
    return this.#report.conditions();
  }

  /** A condition for each peer with a fault; the same array for as long as they are the same. */
  peerConditions(): readonly PeerCondition[] {
    return this.#report.peerConditions();
  }

  /** Works until `signal` is aborted. Calls `onChange` after each pass. */
  run(onChange: () => void, signal: AbortSignal): Promise<void> {
    return runTasks(signal, [(until) => this.#watch(until), (until) => this.#work(onChange, until)]);
  }

  async #work(onChange: () => void, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const yieldTurn = createYieldTurn(clock);
    for (;;) {
      await this.#bell.wait(signal, this.#pauseMs());
      if (this.#calls === 0) continue;
      this.#takeDue();
      if (!this.#isBehind() && this.#hasWork()) await clock.sleep(this.#restMs(), signal);
      this.#takeDue();
      // The caller of `want` has just planned, which may have taken a while too.
      await yieldTurn();
      if (this.#hasWork()) await this.#pass(signal);
      onChange();
    }
  }

  #pauseMs(): number {
    const { clock, random } = this.#deps;
    if (this.#calls === 0) return LIMITS.reconcileFullPassMs;
    if (this.#failuresInRow > 0) return backoffMs(LIMITS.reconcileBackoff, this.#failuresInRow, random);
    if (!this.#ledger.isKnown) return 0;
    const dueMs = Math.min(this.#ledger.nextDueMs(), this.#readMs + this.#fullPassMs());
    // Timers count whole milliseconds: a fraction could end too early, again and again.
    return Math.max(0, Math.ceil(dueMs - clock.monotonicMs()));
  }

  #takeDue(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#ledger.takeDue(nowMs);
    // A node that is never idle reads too.
    if (this.#failuresInRow > 0 || nowMs >= this.#readMs + this.#fullPassMs()) this.#ledger.doubt();
  }

  // Events tell of every change, so this is for what they miss. Reading 15,000 entries takes 0.3 s.
  #fullPassMs(): number {
    const { reconcileFullPassMs, reconcileObjectMs, reconcileFullPassMostMs } = LIMITS;
    const byObjects = this.#ledger.wanted.size * reconcileObjectMs;
    return Math.min(reconcileFullPassMostMs, Math.max(reconcileFullPassMs, byObjects));
  }

  /** Whether the wanted state has changed since the last pass. */
  #isBehind(): boolean {
    return this.#applied !== this.#calls;
  }

  #hasWork(): boolean {
    return this.#ledger.hasWork || this.#isBehind();
  }

  /** The time that a burst of events has to become one pass, and more where repairs take most of the time. */
  #restMs(): number {
    const { freely, slowMs, maxTimes } = LIMITS.repairRest;
    const { endMs, tookMs, inRow } = this.#repair;
    const times = inRow < freely ? 0 : Math.min(maxTimes, 0.5 + tookMs / slowMs);
    return Math.max(LIMITS.reconcileDelayMs, endMs + tookMs * times - this.#deps.clock.monotonicMs());
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { kernel, clock, peerOf } = this.#deps;
    const ledger = this.#ledger;
    const startMs = clock.monotonicMs();
    const isRepair = !this.#isBehind();
    const isKnown = ledger.isKnown;
    ledger.trust();
    try {
      const actual = isKnown ? undefined : await this.#read(signal);
      const call = this.#calls;
      const steps = ledger.take(actual, clock.monotonicMs());
      const failures = await kernel.apply(steps.changes, signal);
      this.#countDrift(steps, failures);
      const nowMs = clock.monotonicMs();
      this.#numbers.passed(steps.changes, failures, nowMs - startMs);
      ledger.settle(steps, failures, peerOf, nowMs);
      const isChanged = failures.length > 0 || steps.tried.size > 0;
      this.#report.passed(ledger, peerOf, isChanged, nowMs);
      this.#applied = call;
      this.#failuresInRow = 0;
      if (isRepair) this.#noteRepair(startMs);
    } catch (error) {
      ledger.doubt();
      signal.throwIfAborted();
      this.#failuresInRow++;
      const nowMs = clock.monotonicMs();
      this.#numbers.failed(nowMs - startMs);
      this.#report.fail(asTwillError(error, 'host', 'cannot bring the kernel in line').message, nowMs);
    } finally {
      this.#isReading = false;
    }
  }

  #noteRepair(startMs: number): void {
    const endMs = this.#deps.clock.monotonicMs();
    const isInRow = startMs - this.#repair.endMs < LIMITS.repairRest.quietMs;
    this.#repair = { endMs, tookMs: endMs - startMs, inRow: isInRow ? this.#repair.inRow + 1 : 0 };
  }

  async #read(signal: AbortSignal): Promise<HostState> {
    const { kernel, clock } = this.#deps;
    this.#readMs = clock.monotonicMs();
    this.#isReading = true;
    const yieldTurn = createYieldTurn(clock);
    const state: HostObject[] = [];
    for (const object of await kernel.read(signal)) {
      state.push(recognize(this.#ledger.wanted, object));
      await yieldTurn();
    }
    this.#isReading = false;
    return state;
  }

  #countDrift({ changes, isNew }: Steps, failures: readonly ChangeFailure[]): void {
    if (this.#applied === 0 || this.#failuresInRow > 0) return;
    const failed = new Set(failures.map(({ change }) => change));
    const fresh = changes.filter(({ object }) => isNew(keyOf(object)));
    // A new link brings everything on it along.
    if (fresh.some(({ object }) => object.kind === 'link')) return;
    for (const change of fresh) failed.add(change);
    this.#report.repaired(
      changes.filter((change) => !failed.has(change)),
      this.#ledger.fights,
      this.#deps.clock.monotonicMs(),
    );
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { kernel, clock, random, log } = this.#deps;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        for await (const event of kernel.watch(signal)) {
          failures = 0;
          this.#notice(event);
        }
      } catch (error) {
        log.error(asTwillError(error, 'host', 'cannot watch the kernel').message);
      }
      if (!signal.aborted)
        await clock.sleep(backoffMs(LIMITS.reconcileBackoff, failures + 1, random), signal);
    }
  }

  #notice(event: KernelEvent): void {
    const hasWork = this.#ledger.notice(event, this.#deps.clock.monotonicMs());
    if (!hasWork) return;
    // The reading may have been before the change, or after it.
    if (this.#isReading) this.#ledger.doubt();
    this.#bell.ring();
  }
}

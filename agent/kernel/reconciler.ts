// Makes the kernel equal to the wanted host state, and keeps it so.
//
//     want(changes) ──▶ pending ──┐ (the kernel is known: the pending keys alone are written)
//     netlink event that          ├─▶ pass ──▶ kernel.apply
//     contradicts ────▶ unknown ──┘ (all is read and compared)
//
// Events and calls only ring a bell; one loop does the work. A refused change is retried with growing pauses and stops
// nothing else.
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { runTasks } from '../base/tasks.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import type { Condition } from '../model/condition.ts';
import {
  formatObject,
  type HostObject,
  type HostState,
  type HostStateChanges,
  linkNeededBy,
  recognize,
} from '../model/host-state.ts';
import type { Change, ChangeFailure, Kernel, KernelEvent } from '../model/kernel.ts';
import { diff, formatChange } from './diff.ts';
import { LIMITS } from './limits.ts';

export interface ReconcilerDeps {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #bell;
  readonly #wanted = new Map<string, HostObject>();
  /** How many wanted objects need each link: an event of such a link may mean that the kernel dropped objects. */
  readonly #linkUses = new Map<string, number>();
  /** Keys that were not applied since they changed, each with the object that the kernel holds. */
  #pending = new Map<string, HostObject | undefined>();
  /** Whether the kernel holds the wanted objects, the pending keys apart. */
  #isKnown = false;
  /** Calls of `want`, and the last one of them that a pass has applied. */
  #calls = 0;
  #applied = 0;
  #failuresInRow = 0;
  /** When all was read last. */
  #readMs = 0;
  #reason: string | undefined = 'the host state has not been applied yet';
  #drift = 0;
  readonly #reported = new Set<string>();

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
    this.#bell = createBell(deps.clock);
  }

  /** Changes the wanted host state. Gives the number that `applied` reaches when the kernel holds it. */
  want(changes: HostStateChanges): number {
    if (changes.size === 0 && this.#calls > 0) return this.#calls;
    for (const [key, { after }] of changes) this.#set(key, after);
    this.#calls++;
    this.#bell.ring();
    return this.#calls;
  }

  /** The number of the last call of `want` that was applied, as far as the kernel took it. */
  get applied(): number {
    return this.#applied;
  }

  /** Objects that were repaired after somebody else had changed them, since the start. */
  get drift(): number {
    return this.#drift;
  }

  conditions(): readonly Condition[] {
    if (this.#reason === undefined) return [];
    const state = this.#failuresInRow === 0 ? 'waiting' : 'failing';
    return [{ part: 'kernel', state, reason: this.#reason }];
  }

  /** Works until `signal` is aborted. Calls `onChange` after each pass. */
  run(onChange: () => void, signal: AbortSignal): Promise<void> {
    return runTasks(signal, [(until) => this.#watch(until), (until) => this.#work(onChange, until)]);
  }

  #set(key: string, after: HostObject | undefined): void {
    const before = this.#wanted.get(key);
    if (!this.#pending.has(key)) this.#pending.set(key, before);
    if (after === undefined) this.#wanted.delete(key);
    else this.#wanted.set(key, after);
    this.#countLink(before, -1);
    this.#countLink(after, 1);
  }

  #countLink(object: HostObject | undefined, step: number): void {
    const link = object && linkNeededBy(object);
    if (link === undefined) return;
    const uses = (this.#linkUses.get(link) ?? 0) + step;
    if (uses === 0) this.#linkUses.delete(link);
    else this.#linkUses.set(link, uses);
  }

  async #work(onChange: () => void, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    const yieldTurn = createYieldTurn(clock);
    for (;;) {
      const pauseMs =
        this.#failuresInRow === 0
          ? LIMITS.reconcileFullPassMs
          : backoffMs(LIMITS.reconcileBackoff, this.#failuresInRow, random);
      const why = await this.#bell.wait(signal, pauseMs);
      // A node that is never idle reads too.
      const isOld = clock.monotonicMs() - this.#readMs >= LIMITS.reconcileFullPassMs;
      if (why === 'timeout' || isOld) this.#isKnown = false;
      if (this.#calls === 0) continue;
      const isRepair = !this.#isKnown && this.#pending.size === 0 && this.#applied === this.#calls;
      // A burst of events becomes one pass.
      if (isRepair) await clock.sleep(LIMITS.reconcileDelayMs, signal);
      // The caller of `want` has just planned, which may have taken a while too.
      await yieldTurn();
      await this.#pass(signal);
      onChange();
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { kernel, log } = this.#deps;
    const wasKnown = this.#isKnown;
    // An event from here on tells of a change that this pass may not see.
    this.#isKnown = true;
    try {
      const actual = wasKnown ? undefined : await this.#read(signal);
      const isRepair = this.#pending.size === 0 && this.#failuresInRow === 0 && this.#applied === this.#calls;
      const call = this.#calls;
      const changes = this.#steps(actual);
      this.#pending = new Map();
      const failures = await kernel.apply(changes, signal);
      if (isRepair) this.#countDrift(changes, failures);
      this.#report(failures);
      this.#applied = call;
    } catch (error) {
      this.#isKnown = false;
      signal.throwIfAborted();
      this.#reason = asTwillError(error, 'host', 'cannot bring the kernel in line').message;
      this.#failuresInRow++;
      log.error(this.#reason);
    }
  }

  /** The changes that lead to the wanted state: from all that was read, or else from the pending keys alone. */
  #steps(read: HostState | undefined): Change[] {
    if (read !== undefined) return diff([...this.#wanted.values()], read);
    const before = [...this.#pending.values()].filter((object) => object !== undefined);
    const after = [...this.#pending.keys()].flatMap((key) => this.#wanted.get(key) ?? []);
    if (![...before, ...after].some(({ kind }) => kind === 'link')) return diff(after, before);
    // Objects disappear with their link, whether they are pending or not.
    const rest = [...this.#wanted].filter(([key]) => !this.#pending.has(key)).map(([, object]) => object);
    return diff([...this.#wanted.values()], [...before, ...rest]);
  }

  async #read(signal: AbortSignal): Promise<HostState> {
    const { kernel, clock } = this.#deps;
    this.#readMs = clock.monotonicMs();
    const yieldTurn = createYieldTurn(clock);
    const state: HostObject[] = [];
    for (const object of await kernel.read(signal)) {
      state.push(recognize(this.#wanted, object));
      await yieldTurn();
    }
    return state;
  }

  #countDrift(changes: readonly Change[], failures: readonly ChangeFailure[]): void {
    const repaired = changes.length - failures.length;
    if (repaired === 0) return;
    this.#drift += repaired;
    this.#deps.log.warn('repaired what somebody else had changed', {
      objects: repaired,
      first: changes[0] === undefined ? undefined : formatChange(changes[0]),
    });
  }

  #report(failures: readonly ChangeFailure[]): void {
    const { log } = this.#deps;
    if (failures.length === 0) {
      if (this.#failuresInRow > 0) log.info('the kernel is as it should be again');
      this.#failuresInRow = 0;
      this.#reason = undefined;
      this.#reported.clear();
      return;
    }
    this.#isKnown = false;
    this.#failuresInRow++;
    const first = failures[0]?.error.message ?? '';
    this.#reason = failures.length === 1 ? first : `${first}, and ${failures.length - 1} more`;
    const fresh = failures.filter(({ error }) => !this.#reported.has(error.message));
    for (const { error } of fresh.slice(0, LIMITS.reportedFailures)) {
      this.#reported.add(error.message);
      log.error(error.message);
    }
    if (fresh.length > LIMITS.reportedFailures)
      log.error('the kernel refused more', { changes: failures.length });
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
    if (event.type === 'object') {
      const isAs = (object: HostObject | undefined): boolean =>
        event.line === (object && formatObject(object));
      if (isAs(this.#wanted.get(event.key))) return;
      // The echo of an earlier pass may come when the key is wanted otherwise already.
      if (this.#pending.has(event.key) && isAs(this.#pending.get(event.key))) return;
    }
    if (event.type === 'link' && !this.#linkUses.has(event.name)) return;
    this.#isKnown = false;
    this.#bell.ring();
  }
}

// Makes the kernel equal to the wanted host state, and keeps it so. Events only tell that there may be work; one
// loop does it, at its own pace. What the kernel refuses is tried again with growing pauses and stops nothing else.
import { createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { backoffMs } from '../base/retry.ts';
import { runTasks } from '../base/tasks.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import {
  formatObject,
  type HostObject,
  type HostState,
  keyOf,
  linkOf,
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

export interface ReconcilerStatus {
  /** Why the kernel is not as wanted, one line; undefined: it is. */
  readonly trouble: string | undefined;
  /** Objects that were repaired after somebody else had changed them, since the start. */
  readonly drift: number;
}

export interface Reconciler {
  /** What the kernel should hold from now on. */
  want(state: HostState): void;
  /** Resolves when the state that was wanted last has been applied once, whatever was refused. */
  settled(signal: AbortSignal): Promise<void>;
  status(): ReconcilerStatus;
  /** Works until `signal` is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

export function createReconciler({ kernel, clock, random, log }: ReconcilerDeps): Reconciler {
  const bell = createBell(clock);
  let wanted: HostState | undefined;
  // The same objects, to look up: a state of thousands is compared with the next one again and again.
  const inUse = new Set<HostObject>();
  const wantedOf = new Map<string, HostObject>();
  /** Links that what is wanted needs. */
  let usedLinks: ReadonlySet<string | undefined> = new Set();
  // The state that a whole pass has made; undefined while none has.
  let applied: HostState | undefined;
  // What the kernel holds as far as we know; undefined: it must be read.
  let known: HostState | undefined;
  let trouble: string | undefined = 'the host state has not been applied yet';
  let drift = 0;
  let failuresInRow = 0;
  let waiters: (() => void)[] = [];
  const reported = new Set<string>();

  const pass = async (signal: AbortSignal): Promise<void> => {
    const target = wanted;
    if (target === undefined) return;
    const before = known;
    const wasClean = applied === target && failuresInRow === 0;
    // An event from here on tells of a change that this pass may not see.
    known = target;
    try {
      const changes = diff(target, before ?? (await readKernel(signal)));
      const failures = await kernel.apply(changes, signal);
      if (wasClean) countDrift(changes, failures);
      report(failures);
    } catch (error) {
      known = undefined;
      signal.throwIfAborted();
      const failure = asTwillError(error, 'host', 'cannot bring the kernel in line');
      trouble = failure.message;
      failuresInRow++;
      log.error(failure.message);
      return;
    }
    applied = target;
    if (wanted !== target) return;
    for (const resolve of waiters) resolve();
    waiters = [];
  };

  const readKernel = async (signal: AbortSignal): Promise<HostState> => {
    const yieldTurn = createYieldTurn(clock);
    const state: HostObject[] = [];
    for (const object of await kernel.read(signal)) {
      state.push(recognize(wantedOf, object));
      await yieldTurn();
    }
    return state;
  };

  const forgetAllBut = (kept: ReadonlySet<HostObject>): void => {
    for (const object of inUse) {
      if (kept.has(object)) continue;
      inUse.delete(object);
      wantedOf.delete(keyOf(object));
    }
  };

  const countDrift = (changes: readonly Change[], failures: readonly ChangeFailure[]): void => {
    const repaired = changes.length - failures.length;
    if (repaired === 0) return;
    drift += repaired;
    log.warn('repaired what somebody else had changed', {
      objects: repaired,
      first: changes[0] === undefined ? undefined : formatChange(changes[0]),
    });
  };

  const report = (failures: readonly ChangeFailure[]): void => {
    if (failures.length === 0) {
      if (failuresInRow > 0) log.info('the kernel is as it should be again');
      failuresInRow = 0;
      trouble = undefined;
      reported.clear();
      return;
    }
    known = undefined;
    failuresInRow++;
    const first = failures[0]?.error.message ?? '';
    trouble = failures.length === 1 ? first : `${first}, and ${failures.length - 1} more`;
    const fresh = failures.filter(({ error }) => !reported.has(error.message));
    for (const { error } of fresh.slice(0, LIMITS.reportedFailures)) {
      reported.add(error.message);
      log.error(error.message);
    }
    if (fresh.length > LIMITS.reportedFailures)
      log.error('the kernel refused more', { changes: failures.length });
  };

  const notice = (event: KernelEvent): void => {
    if (event.type === 'object') {
      const object = wantedOf.get(event.key);
      if (event.line === (object && formatObject(object))) return;
    }
    if (event.type === 'link' && !usedLinks.has(event.name)) return;
    known = undefined;
    bell.ring();
  };

  const watch = async (signal: AbortSignal): Promise<void> => {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        for await (const event of kernel.watch(signal)) {
          failures = 0;
          notice(event);
        }
      } catch (error) {
        log.error(asTwillError(error, 'host', 'cannot watch the kernel').message);
      }
      if (!signal.aborted)
        await clock.sleep(backoffMs(LIMITS.reconcileBackoff, failures + 1, random), signal);
    }
  };

  const work = async (signal: AbortSignal): Promise<void> => {
    const yieldTurn = createYieldTurn(clock);
    for (;;) {
      const pauseMs =
        failuresInRow === 0
          ? LIMITS.reconcileFullPassMs
          : backoffMs(LIMITS.reconcileBackoff, failuresInRow, random);
      if ((await bell.wait(signal, pauseMs)) === 'timeout') known = undefined;
      if (wanted === undefined) continue;
      // A burst of events becomes one pass.
      if (known === undefined && applied === wanted) await clock.sleep(LIMITS.reconcileDelayMs, signal);
      // Whoever rang has just planned, which takes a while too.
      await yieldTurn();
      await pass(signal);
    }
  };

  return {
    want(state) {
      const fresh = state.filter((object) => !inUse.has(object));
      const isNews = (object: HostObject): boolean => recognize(wantedOf, object) === object;
      if (wanted !== undefined && state.length === inUse.size && !fresh.some(isNews)) return;
      if (state.length - fresh.length < inUse.size) forgetAllBut(new Set(state));
      for (const object of fresh) {
        inUse.add(object);
        wantedOf.set(keyOf(object), object);
      }
      wanted = state;
      usedLinks = new Set(state.map(linkNeededBy));
      bell.ring();
    },
    async settled(signal) {
      signal.throwIfAborted();
      if (applied !== undefined && applied === wanted) return;
      await new Promise<void>((resolve, reject) => {
        waiters.push(resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    },
    status: () => ({ trouble, drift }),
    run: (signal) => runTasks(signal, [watch, work]),
  };
}

function linkNeededBy(object: HostObject): string | undefined {
  return object.kind === 'link' && object.type === 'vxlan' ? object.underlay : linkOf(object);
}

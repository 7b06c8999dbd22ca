// A host's kernel as its agent sees it. Requests take time, and anything may happen between two of them. Events come
// late, and some are lost.
import type { Clock } from '../../agent/base/clock.ts';
import { TwillError } from '../../agent/base/errors.ts';
import type { Random } from '../../agent/base/random.ts';
import { formatChange } from '../../agent/kernel/diff.ts';
import type { Change, ChangeFailure, Kernel } from '../../agent/model/kernel.ts';
import { type Life, orAbort } from './life.ts';
import type { Trace } from './trace.ts';
import { drawDelayMs, type Weather } from './weather.ts';

export interface SimKernelDeps {
  readonly kernel: Kernel;
  readonly life: Life;
  readonly clock: Clock;
  readonly random: Random;
  readonly weather: () => Weather;
  readonly trace: Trace;
  readonly host: string;
  /** Called with the agent's changes before any of them is made. */
  readonly onApply: (changes: readonly Change[]) => void;
}

const SLOW_MS = 30;
/** The longest delay until the kernel reports that it has lost events. */
const LOSS_MS = 2_000;

export function openSimKernel(deps: SimKernelDeps): Kernel {
  const { kernel, life, clock, random, weather, trace, host, onApply } = deps;
  const pause = (): Promise<void> => clock.sleep(drawDelayMs(random, SLOW_MS));
  const failure = (what: string): TwillError => new TwillError('host', `${what}: no answer (simulated)`);

  const read = async () => {
    await pause();
    if (random() < weather().kernelFailures) throw failure('cannot read routes');
    const state = await kernel.read();
    await pause();
    return state;
  };
  const apply = async (changes: readonly Change[]): Promise<readonly ChangeFailure[]> => {
    await pause();
    // In two parts: between them others may change anything, and the process may be killed.
    const cut = Math.floor(random() * (changes.length + 1));
    const failures = [...(await kernel.apply(changes.slice(0, cut)))];
    await pause();
    if (life.isOver && random() < 0.5) return failures;
    if (random() < weather().kernelFailures) throw failure('cannot change routes');
    failures.push(...(await kernel.apply(changes.slice(cut))));
    for (const change of changes) trace.note(host, formatChange(change));
    await pause();
    return failures;
  };

  return {
    read: (signal) => life.pass(orAbort(read(), signal)),
    apply(changes, signal) {
      onApply(changes);
      return life.pass(orAbort(apply(changes), signal));
    },
    async *watch(signal) {
      const end = new AbortController();
      const stop = (): void => end.abort();
      life.killed.addEventListener('abort', stop, { once: true });
      signal.addEventListener('abort', stop, { once: true });
      try {
        for await (const event of kernel.watch(end.signal)) {
          if (random() < weather().lostKernelEvents) {
            await life.pass(orAbort(clock.sleep(random() * LOSS_MS), signal));
            yield { type: 'unknown' };
          } else {
            // Most events come together with the one before them.
            if (random() < 0.2) await life.pass(orAbort(pause(), signal));
            yield event;
          }
        }
        // A killed process receives nothing, not even the end of the watch.
        await life.pass(Promise.resolve());
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        life.killed.removeEventListener('abort', stop);
        signal.removeEventListener('abort', stop);
        end.abort();
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

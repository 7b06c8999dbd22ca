// A reconciler on a kernel in memory, in virtual time.
import { expect } from 'vitest';
import { LIMITS } from '../../../agent/kernel/limits.ts';
import { Reconciler } from '../../../agent/kernel/reconciler.ts';
import {
  formatObject,
  type HostObject,
  type HostState,
  keyOf,
  type ObjectChange,
} from '../../../agent/model/host-state.ts';
import type { Kernel } from '../../../agent/model/kernel.ts';
import { createMemoryKernel, type MemoryKernel } from '../../fakes/memory-kernel.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';

export interface ReconcilerBed {
  readonly kernel: MemoryKernel;
  readonly clock: VirtualClock;
  readonly reconciler: Reconciler;
  /** The logged lines, without the time. */
  readonly lines: string[];
  /** Wants this state in place of the one before; gives the number of the call. */
  readonly want: (state: HostState) => number;
  /** Everything up to the first pass for this state. */
  readonly settle: (state: HostState) => Promise<void>;
}

/** Runs a reconciler on a kernel in memory, in virtual time, for as long as `work` takes. */
export async function reconcilerBed(
  work: (bed: ReconcilerBed) => Promise<void>,
  wrap: (kernel: MemoryKernel) => Kernel = (kernel) => kernel,
): Promise<void> {
  const clock = createVirtualClock();
  const kernel = createMemoryKernel({ name: 'eth0', prefix: '192.168.77.0/24' });
  const { log, lines } = captureLog('kernel', 'debug');
  const reconciler = new Reconciler({
    kernel: wrap(kernel),
    clock,
    random: seededRandom(1),
    log,
    // As with the golden states: 10.5.1 is the node's own, every other 10.5.N a peer's.
    peerOf(key) {
      const n = /\b10\.5\.(\d+)\.|02:00:00:00:00:0(\d) /.exec(key)?.slice(1).find(Boolean);
      if (n === undefined || n === '1') return undefined;
      return { subnet: `10.5.${n}.0/24`, publicIP: `192.168.77.${n}`, name: undefined };
    },
  });
  const stop = new AbortController();
  const running = reconciler.run(() => undefined, stop.signal);
  let wanted = new Map<string, HostObject>();
  const want = (state: HostState): number => {
    const next = new Map(state.map((object) => [keyOf(object), object]));
    const changes = new Map<string, ObjectChange>();
    for (const key of new Set([...wanted.keys(), ...next.keys()])) {
      const [before, after] = [wanted.get(key), next.get(key)];
      if ((before && formatObject(before)) !== (after && formatObject(after)))
        changes.set(key, { before, after });
    }
    wanted = next;
    return reconciler.want(changes);
  };
  const settle = async (state: HostState): Promise<void> => {
    const call = want(state);
    await clock.advance(LIMITS.reconcileDelayMs);
    expect(reconciler.applied).toBeGreaterThanOrEqual(call);
  };
  try {
    await clock.settle();
    await work({ kernel, clock, reconciler, lines, want, settle });
  } finally {
    stop.abort();
    await running;
    await kernel[Symbol.asyncDispose]();
  }
  // No task goes on after it has ended.
  expect(clock.sleepers).toBe(0);
}

/** The same kernel without events. */
export function silent(kernel: MemoryKernel): Kernel {
  return {
    read: () => kernel.read(),
    apply: (changes, signal) => kernel.apply(changes, signal),
    async *watch(signal) {
      yield { type: 'unknown' };
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

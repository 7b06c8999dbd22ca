// Programs that undo our objects again and again.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/kernel/limits.ts';
import { formatHostState } from '../../../agent/model/host-state.ts';
import type { Kernel } from '../../../agent/model/kernel.ts';
import { hostObject } from '../../fakes/host-text.ts';
import type { MemoryKernel } from '../../fakes/memory-kernel.ts';
import { hostGwPeer, plan, vxlanPeer } from '../../support/golden-states.ts';
import { reconcilerBed } from './reconciler-bed.ts';

const ROUTE = 'route 10.5.2.0/24';
const LINE = 'route 10.5.2.0/24 via 192.168.77.2 dev eth0';
const FIGHT = `warn  kernel: another program undoes our work on ${LINE} again and again: it is deleted`;

const hostGw = (): ReturnType<typeof plan> => plan('host-gw', {}, [hostGwPeer(2), hostGwPeer(3)]);

/** A kernel where another program undoes each repair of a key at once, until `end`. */
function contested(undo: (kernel: MemoryKernel) => void): {
  readonly wrap: (kernel: MemoryKernel) => Kernel;
  readonly end: () => void;
  readonly passes: () => number;
} {
  let isOn = true;
  let passes = 0;
  return {
    wrap: (kernel) => ({
      read: () => kernel.read(),
      watch: (signal) => kernel.watch(signal),
      async apply(changes, signal) {
        passes++;
        const failures = await kernel.apply(changes, signal);
        if (isOn) undo(kernel);
        return failures;
      },
      [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
    }),
    end: () => {
      isOn = false;
    },
    passes: () => passes,
  };
}

describe('a program that deletes our route every 100 ms', () => {
  it('the route is repaired each time within moments, without a reading, and the program is named once', () =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler, lines }) => {
      const state = await hostGw();
      await settle(state);
      const reads = kernel.reads;
      for (let i = 0; i < 100; i++) {
        kernel.vanish(ROUTE);
        await clock.advance(LIMITS.reconcileDelayMs);
        expect(kernel.print()).toBe(formatHostState(state));
        await clock.advance(100 - LIMITS.reconcileDelayMs);
      }
      expect(kernel.reads).toBe(reads);
      expect(lines.filter((line) => line.includes('again and again'))).toEqual([FIGHT]);
      expect(lines.length).toBeLessThan(15);
      expect([reconciler.conditions(), reconciler.peerConditions()]).toEqual([[], []]);
      await clock.advance(2 * LIMITS.reconcileFullPassMs);
      expect(lines.at(-1)).toBe(`info  kernel: no program undoes our work on ${ROUTE} any more`);
    }));
});

describe('a program that undoes each repair at once', () => {
  it('repairs of that route alone become rare, with a condition about the peer, until the program ends', () => {
    const fight = contested((kernel) => kernel.vanish(ROUTE));
    return reconcilerBed(async ({ kernel, clock, want, reconciler, lines }) => {
      const state = await hostGw();
      want(state);
      await clock.advance(60_000);
      expect(fight.passes()).toBeLessThan(40);
      expect(reconciler.conditions()).toEqual([]);
      expect(reconciler.peerConditions()[0]?.reason).toContain(`our work on ${LINE} again and again`);
      expect(lines.filter((line) => line.includes('again and again'))).toEqual([FIGHT]);
      // Another object is repaired at once.
      kernel.vanish('route 10.5.3.0/24');
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toContain('route 10.5.3.0/24 via');
      fight.end();
      await clock.advance(LIMITS.fight.maxPauseMs + LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      await clock.advance(2 * LIMITS.reconcileFullPassMs);
      expect(reconciler.peerConditions()).toEqual([]);
      expect(lines.at(-1)).toBe(`info  kernel: no program undoes our work on ${ROUTE} any more`);
    }, fight.wrap);
  });

  it('a link that is changed again and again is a condition about the node, which says what it becomes', () => {
    const wrong =
      'link vxlan flannel.1 vni 1 port 8472 mtu 1000 mac 1e:65:d9:46:62:9f local 192.168.77.1 dev eth0 nolearning';
    const fight = contested((kernel) => kernel.intrude(hostObject(wrong)));
    return reconcilerBed(async ({ clock, want, reconciler }) => {
      want(await plan('vxlan', {}, [vxlanPeer(2)]));
      await clock.advance(60_000);
      expect(fight.passes()).toBeLessThan(60);
      expect(reconciler.conditions()[0]?.reason).toContain(`it becomes ${wrong}`);
    }, fight.wrap);
  });
});

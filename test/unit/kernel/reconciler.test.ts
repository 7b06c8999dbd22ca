import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/kernel/limits.ts';
import { formatHostState, type HostObject, type HostState, keyOf } from '../../../agent/model/host-state.ts';
import type { Kernel } from '../../../agent/model/kernel.ts';
import { hostObject } from '../../fakes/host-text.ts';
import type { MemoryKernel } from '../../fakes/memory-kernel.ts';
import { hostGwPeer, plan, vxlanPeer } from '../../support/golden-states.ts';
import { reconcilerBed, silent } from './reconciler-bed.ts';

const vxlan = (...peers: readonly number[]): Promise<HostState> =>
  plan(
    'vxlan',
    {},
    peers.map((n) => vxlanPeer(n)),
  );
const hostGw = (...peers: readonly number[]): Promise<HostState> =>
  plan(
    'host-gw',
    {},
    peers.map((n) => hostGwPeer(n)),
  );

describe('the wanted state', () => {
  it('the wanted state is applied at once, with a condition until then', () =>
    reconcilerBed(async ({ kernel, reconciler, clock, want }) => {
      const state = await vxlan(2, 3);
      expect(reconciler.conditions()).toEqual([
        { part: 'kernel', state: 'waiting', reason: 'the host state has not been applied yet' },
      ]);
      want(state);
      await clock.settle();
      expect(kernel.print()).toBe(formatHostState(state));
      expect([reconciler.conditions(), reconciler.drift]).toEqual([[], 0]);
    }));

  it('the kernel is read once, and not again after our own changes', () =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler }) => {
      for (const peers of [[2, 3], [2, 3, 4], [3], []]) {
        const state = await vxlan(...peers);
        await settle(state);
        await clock.advance(1_000);
        expect(kernel.print()).toBe(formatHostState(state));
      }
      expect(kernel.reads).toBe(1);
      expect(reconciler.drift).toBe(0);
    }));

  it('the same wanted state is not applied again', () =>
    reconcilerBed(async ({ kernel, clock, settle, want }) => {
      await settle(await vxlan(2, 3));
      let applied = 0;
      const apply = kernel.apply.bind(kernel);
      kernel.apply = (changes, signal) => {
        applied += changes.length;
        return apply(changes, signal);
      };
      want([...(await vxlan(2, 3))].reverse());
      await clock.advance(1_000);
      expect(applied).toBe(0);
      expect(kernel.reads).toBe(1);
    }));

  it('the wanted state replaces the objects of a former run, and no drift is logged', () =>
    reconcilerBed(async ({ kernel, settle, reconciler, lines }) => {
      for (const object of await vxlan(2, 4, 5)) kernel.intrude(object);
      const state = await vxlan(2, 3);
      await settle(state);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(reconciler.drift).toBe(0);
      expect(lines).toEqual([]);
    }));

  it('the wanted state is applied when a pass has made its latest version', () => {
    // The wanted state changes during the first reading.
    let finish = (): void => undefined;
    const reading = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const slow = (kernel: MemoryKernel): Kernel => ({
      apply: (changes, signal) => kernel.apply(changes, signal),
      watch: (signal) => kernel.watch(signal),
      read: async () => {
        await reading;
        return kernel.read();
      },
      [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
    });
    return reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      want(await vxlan(2));
      await clock.settle();
      const latest = await vxlan(3);
      const call = want(latest);
      expect(reconciler.applied).toBe(0);
      finish();
      await clock.advance(1_000);
      expect(reconciler.applied).toBe(call);
      expect(kernel.print()).toBe(formatHostState(latest));
    }, slow);
  });
});

describe('an object that vanishes', () => {
  it.each([
    ['link', 'link flannel.1'],
    ['addr', 'addr 10.5.1.0/32 flannel.1'],
    ['neigh', 'neigh 10.5.2.0 flannel.1'],
    ['fdb', 'fdb 02:00:00:00:00:02 flannel.1'],
    ['route', 'route 10.5.2.0/24'],
  ])('a vanished %s is repaired at its event, within the delay, and counted', (_, key) =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler, lines }) => {
      const state = await vxlan(2, 3);
      await settle(state);
      expect(state.map(keyOf)).toContain(key);
      kernel.vanish(key);
      expect(kernel.print()).not.toBe(formatHostState(state));
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      const count = key.startsWith('link') ? state.length : 1;
      expect([reconciler.conditions(), reconciler.drift]).toEqual([[], count]);
      expect(lines).toEqual([
        expect.stringMatching(
          `^warn  kernel: repaired what somebody else had changed objects=${count} first=`,
        ),
      ]);
    }),
  );

  it('many vanished objects are repaired without a reading', () =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler }) => {
      const state = await hostGw(...Array.from({ length: 40 }, (_, i) => i + 2));
      await settle(state);
      const before = kernel.reads;
      for (const object of state) kernel.vanish(keyOf(object));
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(kernel.reads).toBe(before);
      expect(reconciler.drift).toBe(40);
    }));
});

describe('a change by another program', () => {
  it('a foreign value is corrected, and an unwanted object removed', () =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler }) => {
      const state = await vxlan(2);
      await settle(state);
      kernel.intrude(hostObject('neigh 10.5.2.0 lladdr 02:00:00:00:00:66 dev flannel.1'));
      kernel.intrude(hostObject('route 10.5.9.0/24 via 192.168.77.9 dev eth0'));
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(reconciler.drift).toBe(2);
    }));

  it('a change without an event is found by a full pass', () =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler }) => {
      const state = await hostGw(2, 3);
      await settle(state);
      kernel.vanish('route 10.5.2.0/24');
      await clock.advance(LIMITS.reconcileFullPassMs - 1_000);
      expect(reconciler.drift).toBe(0);
      await clock.advance(1_000 + LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(reconciler.drift).toBe(1);
    }, silent));

  it('a full pass of very many objects comes later', () =>
    reconcilerBed(async ({ kernel, clock, settle, reconciler }) => {
      const routes = Array.from({ length: 3_000 }, (_, i): HostObject => {
        const dst = `10.${20 + (i >> 8)}.${i & 255}.0/24`;
        return { kind: 'route', type: 'unicast', dst, via: '192.168.77.2', dev: 'eth0', onlink: false };
      });
      await settle(routes);
      kernel.vanish('route 10.20.7.0/24');
      await clock.advance(3_000 * LIMITS.reconcileObjectMs - 1_000);
      expect(reconciler.drift).toBe(0);
      await clock.advance(1_000 + LIMITS.reconcileDelayMs);
      expect(reconciler.drift).toBe(1);
    }, silent));

  it('a change without an event is found by a full pass of a node that is never idle', () =>
    reconcilerBed(async ({ kernel, clock, settle, want }) => {
      await settle(await hostGw(2, 3));
      kernel.vanish('route 10.5.2.0/24');
      for (let ms = 0; ms < LIMITS.reconcileFullPassMs; ms += 1_000) {
        want(await hostGw(2, 3, 4 + ((ms / 1_000) % 2)));
        await clock.advance(1_000);
      }
      want(await hostGw(2, 3));
      await clock.advance(0);
      expect(kernel.print()).toBe(formatHostState(await hostGw(2, 3)));
    }, silent));

  it('a change is found after lost events and after a broken watch', () => {
    let fail: ((error: Error) => void) | undefined;
    let watches = 0;
    const breaking = (kernel: MemoryKernel): Kernel => ({
      ...silent(kernel),
      async *watch() {
        watches++;
        yield { type: 'unknown' };
        await new Promise((_, reject) => {
          fail = reject;
        });
      },
    });
    return reconcilerBed(async ({ kernel, clock, settle, lines }) => {
      const state = await hostGw(2, 3);
      await settle(state);
      // It happens between two watches: the first event of the next watch reports it.
      fail?.(new Error('overrun'));
      await clock.advance(LIMITS.reconcileDelayMs);
      kernel.vanish('route 10.5.2.0/24');
      await clock.advance(LIMITS.reconcileBackoff.firstMs + LIMITS.reconcileDelayMs);
      expect(watches).toBe(2);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(lines).toContain('error kernel: cannot watch the kernel: overrun');
      fail?.(new Error('over'));
    }, breaking);
  });
});

describe('a kernel that cannot be read', () => {
  it('an unreadable kernel is read again until it answers', () => {
    let isBroken = true;
    const broken = (kernel: MemoryKernel): Kernel => ({
      ...silent(kernel),
      read: async () => {
        if (isBroken) throw new Error('no buffer space');
        return kernel.read();
      },
    });
    return reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      const state = await hostGw(2);
      want(state);
      await clock.advance(5_000);
      expect(reconciler.conditions()[0]?.reason).toBe('cannot bring the kernel in line: no buffer space');
      expect(kernel.print()).toBe('');
      isBroken = false;
      await clock.advance(LIMITS.reconcileBackoff.maxMs + LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(reconciler.conditions()).toEqual([]);
    }, broken);
  });
});

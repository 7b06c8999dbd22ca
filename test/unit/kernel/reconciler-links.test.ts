import { expect, it } from 'vitest';
import { createChannel } from '../../../agent/base/channel.ts';
import { LIMITS } from '../../../agent/kernel/limits.ts';
import type { KernelEvent } from '../../../agent/model/kernel.ts';
import { hostGwPeer, plan, vxlanPeer } from '../../support/golden-states.ts';
import { reconcilerBed, silent } from './reconciler-bed.ts';

it('the reconciler reads again only when a foreign link changes that one of our objects uses', () => {
  const events = createChannel<KernelEvent>('events', 10);
  return reconcilerBed(
    async ({ kernel, clock, settle }) => {
      await settle(await plan('host-gw', {}, [hostGwPeer(2)]));
      const whole = kernel.print();
      kernel.vanish('route 10.5.2.0/24');
      events.push({ type: 'link', name: 'veth1' });
      await clock.advance(1_000);
      expect(kernel.print()).not.toBe(whole);
      events.push({ type: 'link', name: 'eth0' });
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(whole);
      // A device needs the link that its packets leave by.
      await settle(await plan('vxlan', {}, [vxlanPeer(2)]));
      const tunnel = kernel.print();
      kernel.vanish('link flannel.1');
      events.push({ type: 'link', name: 'eth0' });
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(tunnel);
    },
    (kernel) => ({
      ...silent(kernel),
      async *watch(signal) {
        signal.addEventListener('abort', () => events.close(), { once: true });
        yield* events;
      },
    }),
  );
});

it('an entry that goes with its link before the link itself is reported is no fault', () => {
  const events = createChannel<KernelEvent>('events', 10);
  return reconcilerBed(
    async ({ kernel, clock, settle, lines, reconciler }) => {
      await settle(await plan('vxlan', {}, [vxlanPeer(2)]));
      const whole = kernel.print();
      kernel.vanish('link flannel.1');
      events.push({ type: 'gone', key: 'neigh 10.5.2.0 flannel.1', line: undefined });
      await clock.advance(LIMITS.reconcileDelayMs);
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(whole);
      expect([reconciler.conditions(), reconciler.peerConditions()]).toEqual([[], []]);
      expect(lines.filter((line) => line.startsWith('error'))).toEqual([]);
    },
    (kernel) => ({
      ...silent(kernel),
      async *watch(signal) {
        signal.addEventListener('abort', () => events.close(), { once: true });
        yield* events;
      },
    }),
  );
});

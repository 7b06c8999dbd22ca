// Changes that the kernel refuses: a peer's are that peer's, the node's own make the node not ready.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/kernel/limits.ts';
import { formatHostState, type HostState } from '../../../agent/model/host-state.ts';
import type { Change, Kernel } from '../../../agent/model/kernel.ts';
import type { Route } from '../../../agent/model/kinds/route.ts';
import type { MemoryKernel } from '../../fakes/memory-kernel.ts';
import { hostGwPeer, plan, vxlanPeer } from '../../support/golden-states.ts';
import { reconcilerBed, silent } from './reconciler-bed.ts';

const peers = (count: number, from = 2): number[] => Array.from({ length: count }, (_, i) => i + from);

/** Peers of host-gw; those in `far` are behind a router. */
const hostGw = (numbers: readonly number[], far: readonly number[] = []): Promise<HostState> =>
  plan(
    'host-gw',
    {},
    numbers.map((n) => (far.includes(n) ? hostGwPeer(n, `192.168.99.${n}`) : hostGwPeer(n))),
  );

const foreign = (dst: string): Route => ({
  kind: 'route',
  type: 'unicast',
  dst,
  via: undefined,
  dev: 'eth0',
  onlink: false,
});

/** The same kernel, and the lines of all changes that it was asked for. */
function recording(changes: Change[]): (kernel: MemoryKernel) => Kernel {
  return (kernel) => ({
    read: () => kernel.read(),
    watch: (signal) => kernel.watch(signal),
    apply(batch, signal) {
      changes.push(...batch);
      return kernel.apply(batch, signal);
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  });
}

describe("a peer's object that the kernel refuses", () => {
  it('a peer behind a router is a condition about that peer, with the remedy', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want, lines }) => {
      const call = want(await hostGw([2, 3, 4], [3]));
      await clock.settle();
      expect(kernel.print()).toBe(formatHostState(await hostGw([2, 4])));
      expect([reconciler.conditions(), reconciler.applied]).toEqual([[], call]);
      expect(reconciler.peerConditions()).toEqual([
        {
          part: 'kernel',
          state: 'failing',
          reason:
            'cannot add route 10.5.3.0/24 via 192.168.99.3 dev eth0: network is unreachable (ENETUNREACH): ' +
            '192.168.99.3 is not on the link of eth0: host-gw needs all hosts on one link',
          peer: { subnet: '10.5.3.0/24', publicIP: '192.168.77.3', name: undefined },
        },
      ]);
      await clock.advance(60_000);
      expect(lines).toEqual([]);
    }));

  it('a change beside refused peers costs its own entries alone', () => {
    const changes: Change[] = [];
    return reconcilerBed(async ({ kernel, clock, want }) => {
      want(await hostGw(peers(100), peers(50)));
      await clock.advance(LIMITS.reconcileFullPassMs - 5_000);
      const reads = kernel.reads;
      changes.length = 0;
      want(await hostGw(peers(101), peers(50)));
      await clock.advance(0);
      expect(changes).toHaveLength(1);
      expect(kernel.reads).toBe(reads);
    }, recording(changes));
  });

  it('thousands of refused peers are tried a few times together, and then by full passes alone', () => {
    let passes = 0;
    return reconcilerBed(
      async ({ kernel, clock, reconciler, want }) => {
        kernel.refuse = /^neigh/;
        const many = Array.from({ length: 1_000 }, (_, i) =>
          vxlanPeer(
            2 + (i % 200),
            `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`,
          ),
        );
        want(await plan('vxlan', {}, many));
        await clock.settle();
        expect(reconciler.peerConditions().length).toBeGreaterThan(100);
        const before = kernel.reads;
        await clock.advance(100);
        passes = 0;
        await clock.advance(10 * LIMITS.reconcileFullPassMs);
        expect(passes).toBeLessThan(10 + 10);
        expect(kernel.reads - before).toBeLessThanOrEqual(10);
      },
      (kernel) => ({
        ...silent(kernel),
        apply(batch, signal) {
          passes++;
          return kernel.apply(batch, signal);
        },
      }),
    );
  });

  it('a refused peer is tried again after a pause of its own', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      kernel.refuse = /^route 10\.5\.3\./;
      const state = await hostGw([2, 3]);
      want(state);
      await clock.settle();
      expect(reconciler.peerConditions()).toHaveLength(1);
      kernel.refuse = undefined;
      await clock.advance(2 * LIMITS.refusalBackoff.firstMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect([reconciler.peerConditions(), reconciler.drift]).toEqual([[], 0]);
    }));

  it('a repair that is refused for a moment is no condition, and one that stays refused is one soon', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, settle }) => {
      const state = await hostGw([2, 3]);
      await settle(state);
      // A manager of the network sets the underlay's address anew: the routes go with it.
      const breakRoute = async (): Promise<void> => {
        kernel.refuse = /^route 10\.5\.3\./;
        kernel.vanish('route 10.5.3.0/24');
        await clock.advance(LIMITS.reconcileDelayMs);
        expect(kernel.print()).toBe(formatHostState(await hostGw([2])));
      };
      await breakRoute();
      expect(reconciler.peerConditions()).toEqual([]);
      kernel.refuse = undefined;
      await clock.advance(2 * LIMITS.refusalBackoff.firstMs);
      expect(kernel.print()).toBe(formatHostState(state));
      await breakRoute();
      await clock.advance(LIMITS.toleratedRepairMs - 100);
      expect(reconciler.peerConditions()).toEqual([]);
      await clock.advance(1_500);
      expect(reconciler.peerConditions()).toHaveLength(1);
    }));

  it('a refused peer that changes or goes leaves no condition', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      want(await hostGw([2, 3, 4], [3, 4]));
      await clock.advance(10_000);
      expect(reconciler.peerConditions()).toHaveLength(2);
      want(await hostGw([2, 3], []));
      await clock.advance(0);
      expect(kernel.print()).toBe(formatHostState(await hostGw([2, 3])));
      expect([reconciler.peerConditions(), reconciler.drift]).toEqual([[], 0]);
    }));

  it('a peer that moves to where the kernel refuses it, and back, has its route again', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want, settle }) => {
      const state = await hostGw([2, 3]);
      await settle(state);
      await settle(await hostGw([2, 3], [3]));
      expect(kernel.print()).toBe(formatHostState(await hostGw([2])));
      want(state);
      await clock.advance(LIMITS.reconcileDelayMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect([reconciler.peerConditions(), reconciler.drift]).toEqual([[], 0]);
    }));
});

describe("a node's own object that the kernel refuses", () => {
  it('a refused link is the only reason, and its entries are no faults of peers', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, lines, want }) => {
      kernel.refuse = /^link flannel/;
      const state = await plan('vxlan', {}, [vxlanPeer(2), vxlanPeer(3)]);
      want(state);
      await clock.advance(60_000);
      const [condition, ...others] = reconciler.conditions();
      expect(condition?.reason).toMatch(/^cannot add link vxlan flannel\.1 .*: invalid argument \(EINVAL\)$/);
      expect([others, reconciler.peerConditions()]).toEqual([[], []]);
      expect(lines).toEqual([`error kernel: ${condition?.reason}`]);
      kernel.refuse = undefined;
      await clock.advance(LIMITS.reconcileFullPassMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect([reconciler.conditions(), reconciler.drift]).toEqual([[], 0]);
      expect(lines.at(-1)).toBe('info  kernel: the kernel is as it should be again');
    }));

  it('a refused address makes the node not ready', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      kernel.refuse = /^addr/;
      want(await plan('vxlan', {}, [vxlanPeer(2)]));
      await clock.settle();
      expect(reconciler.conditions().map(({ state }) => state)).toEqual(['failing']);
      expect(reconciler.peerConditions()).toEqual([]);
    }));

  it('a link that is missing is one condition about the node, however many routes need it', () =>
    reconcilerBed(async ({ clock, reconciler, lines, want }) => {
      const state = (await hostGw(peers(30))).map((object) =>
        object.kind === 'route' ? { ...object, dev: 'eth9' } : object,
      );
      want(state);
      await clock.settle();
      expect(reconciler.conditions()[0]?.reason).toMatch(/no such device \(ENODEV\), and 29 more$/);
      expect(reconciler.peerConditions()).toEqual([]);
      expect(lines).toHaveLength(LIMITS.reportedFailures + 1);
      expect(lines.at(-1)).toBe('error kernel: the kernel refused more changes=30');
    }));
});

describe('a route of another program', () => {
  it('a foreign route with the key of a peer is kept and named, and its end is noticed', () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      kernel.plant(foreign('10.5.3.0/24'));
      const state = await hostGw([2, 3]);
      want(state);
      await clock.settle();
      expect(kernel.foreign()).toBe('route 10.5.3.0/24 dev eth0\n');
      expect(reconciler.conditions()).toEqual([]);
      expect(reconciler.peerConditions()[0]?.reason).toContain(
        '10.5.3.0/24 is a route of another program: dev eth0 proto static',
      );
      await clock.advance(60_000);
      kernel.uproot('route 10.5.3.0/24');
      await clock.advance(LIMITS.refusalAgainMs);
      expect(kernel.print()).toBe(formatHostState(state));
      expect(reconciler.peerConditions()).toEqual([]);
    }));

  it('a foreign route that takes the place of ours is not fought', () => {
    const changes: Change[] = [];
    return reconcilerBed(async ({ kernel, clock, settle, reconciler }) => {
      await settle(await hostGw([2, 3]));
      changes.length = 0;
      kernel.plant(foreign('10.5.3.0/24'));
      await clock.advance(LIMITS.reconcileFullPassMs);
      expect(kernel.print()).toBe(formatHostState(await hostGw([2])));
      expect(reconciler.peerConditions()).toHaveLength(1);
      expect(changes.length).toBeLessThan(12);
    }, recording(changes));
  });

  it("a foreign route with the key of the node's own makes the node not ready", () =>
    reconcilerBed(async ({ kernel, clock, reconciler, want }) => {
      kernel.plant(foreign('10.5.1.0/24'));
      want([{ ...foreign('10.5.1.0/24'), via: '192.168.77.9' }]);
      await clock.settle();
      expect(reconciler.conditions()[0]?.reason).toContain('10.5.1.0/24 is a route of another program');
    }));
});

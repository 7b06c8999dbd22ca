import { expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { type HostChange, HostFollower } from '../../../agent/node/host-follower.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { hostFacts } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';

type FactChanges = Parameters<typeof hostFacts>[0];

interface Bed {
  readonly clock: VirtualClock;
  readonly lines: string[];
  readonly changes: HostChange[];
  /** The host from now on, and whether an event reports it. */
  readonly set: (now: FactChanges | TwillError, tell?: boolean) => Promise<void>;
  readonly reason: () => string;
  readonly reads: () => number;
}

async function bed(work: (bed: Bed) => Promise<void>): Promise<void> {
  const clock = createVirtualClock();
  const { log, lines } = captureLog('twill');
  const changes: HostChange[] = [];
  let now: FactChanges | TwillError = {};
  let tellAll = (): void => undefined;
  let reads = 0;
  const hostSource = {
    async read() {
      reads++;
      if (now instanceof TwillError) throw now;
      return hostFacts(now);
    },
    async watch(onChange: () => void, signal: AbortSignal) {
      tellAll = onChange;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    },
  };
  const follower = new HostFollower({ hostSource, clock, log }, await hostSource.read());
  follower.listen((change) => changes.push(change));
  const stop = new AbortController();
  const running = follower.run(stop.signal);
  await clock.advance(LIMITS.hostDelayMs + LIMITS.hostPauseMs);
  await work({
    clock,
    lines,
    changes,
    async set(next, tell = true) {
      now = next;
      if (!tell) return;
      tellAll();
      await clock.advance(LIMITS.hostDelayMs);
    },
    reason: () => follower.conditions()[0]?.reason ?? 'ready',
    reads: () => reads,
  });
  stop.abort();
  await running;
}

it('the host follower reports an unusable underlay, keeps the known facts, and reports the recovery', () =>
  bed(async ({ set, changes, reason, clock, lines }) => {
    await set(new TwillError('host', 'interface eth0 is down'));
    expect(reason()).toBe('interface eth0 is down');
    await clock.advance(LIMITS.hostPauseMs);
    await set({ hasCarrier: false });
    expect(reason()).toBe('interface eth0 has no carrier');
    expect(changes).toEqual([]);
    await clock.advance(LIMITS.hostPauseMs);
    await set({});
    expect(reason()).toBe('ready');
    expect(changes).toEqual([{ facts: hostFacts({}), moved: false, back: true }]);
    expect(lines.at(-1)).toBe('info  twill: eth0 is back');
  }));

it('the host follower accepts another address only after it was stable for a while', () =>
  bed(async ({ set, changes, clock }) => {
    await set({ address: '192.168.77.11' });
    await set({}, false);
    await clock.advance(LIMITS.hostSettleMs + LIMITS.hostPauseMs);
    expect(changes).toEqual([]);
    await set({ address: '192.168.77.12' });
    await clock.advance(LIMITS.hostSettleMs);
    expect(changes).toEqual([{ facts: hostFacts({ address: '192.168.77.12' }), moved: true, back: false }]);
  }));

it('the host follower reports another MTU at once, and nothing without a change', () =>
  bed(async ({ set, changes, clock }) => {
    await set({});
    expect(changes).toEqual([]);
    await clock.advance(LIMITS.hostPauseMs);
    await set({ mtuBytes: 1400 });
    expect(changes).toEqual([{ facts: hostFacts({ mtuBytes: 1400 }), moved: false, back: false }]);
  }));

it('the host follower polls without events, and no more often under many events', () =>
  bed(async ({ set, changes, clock, reads }) => {
    await set({ mtuBytes: 1400 }, false);
    await clock.advance(LIMITS.hostLookMs);
    expect(changes).toHaveLength(1);
    const before = reads();
    for (let i = 0; i < 100; i++) {
      await set({ mtuBytes: 1400 });
    }
    const spentMs = 100 * LIMITS.hostDelayMs;
    expect(reads() - before).toBeLessThanOrEqual(spentMs / (LIMITS.hostDelayMs + LIMITS.hostPauseMs) + 1);
  }));

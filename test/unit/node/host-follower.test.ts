import { expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import type { HostFacts } from '../../../agent/model/host-facts.ts';
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
  /** Each reading takes this time from now on. */
  readonly delay: (ms: number) => void;
  /** The watch of the host ends. */
  readonly stopWatching: () => void;
  /** The facts in use at the last reading. */
  readonly asked: () => HostFacts | undefined;
}

async function bed(work: (bed: Bed) => Promise<void>): Promise<void> {
  const clock = createVirtualClock();
  const { log, lines } = captureLog('twill');
  const changes: HostChange[] = [];
  let now: FactChanges | TwillError = {};
  let tellAll = (): void => undefined;
  let reads = 0;
  let lookMs = 0;
  const watching = new AbortController();
  let asked: HostFacts | undefined;
  const hostSource = {
    async read(inUse?: HostFacts) {
      reads++;
      asked = inUse;
      if (lookMs > 0) await clock.sleep(lookMs);
      if (now instanceof TwillError) throw now;
      return hostFacts(now);
    },
    async watch(onChange: () => void, signal: AbortSignal) {
      tellAll = onChange;
      const either = AbortSignal.any([signal, watching.signal]);
      await new Promise<void>((resolve) => either.addEventListener('abort', () => resolve(), { once: true }));
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
    delay: (ms) => {
      lookMs = ms;
    },
    stopWatching: () => watching.abort(),
    asked: () => asked,
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

it('the host follower asks for the facts of the underlay in use', () =>
  bed(async ({ set, asked, clock }) => {
    expect(asked()).toEqual(hostFacts());
    await set({ address: '192.168.77.11' });
    await clock.advance(LIMITS.hostSettleMs + LIMITS.hostRetryMs);
    await set({ address: '192.168.77.11', mtuBytes: 1400 });
    expect(asked()).toEqual(hostFacts({ address: '192.168.77.11' }));
  }));

it('the host follower accepts another address only after it was stable for a while', () =>
  bed(async ({ set, changes, clock, reason }) => {
    await set({ address: '192.168.77.11' });
    expect(reason()).toBe('eth0 192.168.77.1 is down or gone; eth0 192.168.77.11 is about to take its place');
    await set({}, false);
    await clock.advance(LIMITS.hostSettleMs + LIMITS.hostPauseMs);
    expect(changes).toEqual([{ facts: hostFacts({}), moved: false, back: true }]);
    changes.pop();
    await set({ address: '192.168.77.12' });
    await clock.advance(LIMITS.hostSettleMs - LIMITS.hostRetryMs);
    await set({ address: '192.168.77.13' });
    await clock.advance(LIMITS.hostSettleMs - LIMITS.hostDelayMs);
    expect(changes).toEqual([]);
    await clock.advance(LIMITS.hostRetryMs + LIMITS.hostDelayMs);
    expect(changes).toEqual([{ facts: hostFacts({ address: '192.168.77.13' }), moved: true, back: true }]);
    expect(reason()).toBe('ready');
  }));

it('the host follower leaves a link only when it has been down for long, and not when it comes back', () =>
  bed(async ({ set, changes, clock, reason, lines }) => {
    const other = { name: 'eth1', address: '192.168.78.1' };
    await set(other);
    await clock.advance(LIMITS.hostLeaveMs - 1_000);
    expect(reason()).toBe('eth0 192.168.77.1 is down or gone; eth1 192.168.78.1 is about to take its place');
    await set({});
    expect(changes).toEqual([{ facts: hostFacts({}), moved: false, back: true }]);
    await clock.advance(LIMITS.hostPauseMs);
    await set(other);
    await clock.advance(LIMITS.hostLeaveMs + LIMITS.hostRetryMs);
    expect(changes.at(-1)).toEqual({ facts: hostFacts(other), moved: true, back: true });
    expect(lines.at(-1)).toMatch(
      /^warn {2}twill: the underlay has changed: using eth1 .*why="the default route"/,
    );
  }));

it('the host follower leaves a link that was gone for long as soon as another one is stable', () =>
  bed(async ({ set, changes, clock }) => {
    await set(new TwillError('host', 'interface eth0 is down'));
    await clock.advance(LIMITS.hostLeaveMs);
    await set({ name: 'eth1', address: '192.168.78.1' });
    await clock.advance(LIMITS.hostSettleMs + LIMITS.hostRetryMs);
    expect(changes).toHaveLength(1);
  }));

it('the host follower does not look all the time at another link that has no carrier', () =>
  bed(async ({ set, changes, clock, reads, reason }) => {
    await set({ address: '192.168.77.11' });
    await set({ address: '192.168.77.11', hasCarrier: false });
    const before = reads();
    await clock.advance(LIMITS.hostSettleMs * 3);
    expect(reads() - before).toBeLessThanOrEqual(3);
    expect(reason()).toBe('interface eth0 has no carrier');
    expect(changes).toEqual([]);
  }));

it('the host follower does not wait for long where the address is on another link now', () =>
  bed(async ({ set, changes, clock }) => {
    await set({ name: 'br0' });
    await clock.advance(LIMITS.hostSettleMs + LIMITS.hostRetryMs);
    expect(changes).toEqual([{ facts: hostFacts({ name: 'br0' }), moved: true, back: true }]);
  }));

it('the host follower reports another MTU at once, and nothing without a change', () =>
  bed(async ({ set, changes, clock }) => {
    await set({});
    expect(changes).toEqual([]);
    await clock.advance(LIMITS.hostPauseMs);
    await set({ mtuBytes: 1400 });
    expect(changes).toEqual([{ facts: hostFacts({ mtuBytes: 1400 }), moved: false, back: false }]);
  }));

it('the host follower polls rarely without events, and no more often under many events', () =>
  bed(async ({ set, changes, clock, reads }) => {
    await set({ mtuBytes: 1400 }, false);
    const before = reads();
    await clock.advance(LIMITS.hostWatchedLookMs);
    expect(changes).toHaveLength(1);
    expect(reads()).toBe(before + 1);
    for (let i = 0; i < 100; i++) {
      await set({ mtuBytes: 1400 });
    }
    const spentMs = 100 * LIMITS.hostDelayMs;
    const most = spentMs / (LIMITS.hostDelayMs + LIMITS.hostPauseMs) + 1;
    expect(reads() - before - 1).toBeLessThanOrEqual(most);
  }));

it('the host follower polls more often where no event is told of', () =>
  bed(async ({ set, changes, clock, stopWatching }) => {
    stopWatching();
    await clock.advance(LIMITS.hostDelayMs + LIMITS.hostPauseMs);
    await set({ mtuBytes: 1400 }, false);
    await clock.advance(LIMITS.hostLookMs);
    expect(changes).toHaveLength(1);
  }));

it('the host follower soon reads the interfaces again where the system refused it, without any event', () =>
  bed(async ({ set, reason, clock }) => {
    await set(new TwillError('host', 'cannot open a netlink socket', { errno: 'EMFILE' }));
    expect(reason()).toBe('cannot open a netlink socket');
    await set({}, false);
    await clock.advance(LIMITS.hostReadAgainMs + LIMITS.hostRetryMs);
    expect(reason()).toBe('ready');
  }));

it('the host follower pauses for several looks where one takes long', () =>
  bed(async ({ set, clock, reads, delay }) => {
    const lookMs = 400;
    delay(lookMs);
    const before = reads();
    const rounds = 200;
    for (let i = 0; i < rounds; i++) await set({});
    await clock.advance(lookMs);
    const roundMs = LIMITS.hostDelayMs + lookMs * (1 + LIMITS.hostPauseLooks);
    expect(reads() - before).toBeLessThanOrEqual((rounds * LIMITS.hostDelayMs) / roundMs + 2);
    expect(reads() - before).toBeGreaterThan(2);
  }));

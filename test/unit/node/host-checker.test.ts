import { expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import type { HostAddress } from '../../../agent/model/host-checks.ts';
import { type Plane, planesOf } from '../../../agent/model/plane.ts';
import { HostChecker } from '../../../agent/node/host-checker.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { hostFacts, OVERLAYS, prefix } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';
import { plan, vxlanPeer } from '../../support/golden-states.ts';

interface Bed {
  readonly clock: VirtualClock;
  readonly checker: HostChecker;
  readonly host: {
    closed: Set<string>;
    isReadOnly: boolean;
    addresses: HostAddress[] | undefined;
    seen: number;
  };
  readonly lines: string[];
  readonly reason: () => string;
  /** Calls so far, by name. */
  readonly calls: Record<'closedLinks' | 'open' | 'addressesIn' | 'routesTowards', number>;
  readonly changes: () => number;
  /** Tells that addresses have changed. */
  readonly ring: () => void;
  readonly start: () => Promise<void>;
}

const DOCKER: HostAddress = {
  dev: 'docker0',
  isBridge: true,
  answersForOthers: false,
  prefix: prefix('10.5.0.1/16'),
};

async function bed(
  work: (bed: Bed) => Promise<void>,
  { isWatched = true, opens = true } = {},
): Promise<void> {
  const clock = createVirtualClock();
  const { log, lines } = captureLog('twill');
  const host: Bed['host'] = { closed: new Set(), isReadOnly: false, addresses: [], seen: 0 };
  const calls = { closedLinks: 0, open: 0, addressesIn: 0, routesTowards: 0 };
  let changes = 0;
  let ring = (): void => undefined;
  const checker = new HostChecker({
    clock,
    log,
    opens,
    network: prefix('10.5.0.0/16'),
    checks: {
      async closedLinks(links) {
        calls.closedLinks++;
        return links.filter((link) => host.closed.has(link));
      },
      async open(link) {
        calls.open++;
        if (host.isReadOnly) throw new TwillError('host', 'cannot write: it is mounted read-only');
        if (link === 'all') host.closed.clear();
        else host.closed.delete(link);
      },
      async addressesIn() {
        calls.addressesIn++;
        if (host.addresses === undefined) throw new TwillError('host', 'cannot read addresses');
        return { addresses: host.addresses, seen: host.seen };
      },
      async watchAddressesIn(_network, onChange) {
        if (!isWatched) throw new TwillError('host', 'cannot watch the addresses');
        ring = onChange;
      },
      async routesTowards(addresses) {
        calls.routesTowards++;
        return addresses.map(() => undefined);
      },
    },
  });
  const state = await plan('vxlan', {}, [vxlanPeer(2)]);
  const [plane] = planesOf(hostFacts(), OVERLAYS, { ipv4: prefix('10.5.1.0/24') });
  const stop = new AbortController();
  const running = checker.run(prefix('10.5.7.0/24'), () => changes++, stop.signal);
  await clock.advance(1);
  await work({
    clock,
    checker,
    host,
    lines,
    calls,
    reason: () => checker.conditions()[0]?.reason ?? 'fine',
    changes: () => changes,
    ring: () => ring(),
    async start() {
      checker.want(plane as Plane, () => state);
      await clock.advance(1);
    },
  });
  stop.abort();
  await running.catch(() => undefined);
}

it('nothing is read before something is wanted, and afterwards', () =>
  bed(async ({ checker, clock, calls, start, changes }) => {
    await clock.advance(60_000);
    expect([calls.closedLinks, checker.stands, changes()]).toEqual([0, false, 0]);
    await start();
    expect([calls.closedLinks, checker.stands, changes()]).toEqual([1, true, 1]);
    checker.want(undefined, () => []);
    await clock.advance(60_000);
    expect([calls.closedLinks, changes()]).toEqual([1, 1]);
  }));

it('a fault goes without a word when nothing is wanted any more', () =>
  bed(async ({ checker, host, clock, start, reason, lines }) => {
    host.addresses = [DOCKER];
    await start();
    expect(reason()).toMatch(/^docker0 has/);
    checker.want(undefined, () => []);
    await clock.advance(LIMITS.hostCheckMs);
    expect([reason(), lines.length]).toEqual(['fine', 1]);
  }));

it('a host that does not forward is made to, and the log says it once', () =>
  bed(async ({ host, start, clock, lines, reason }) => {
    host.closed = new Set(['all', 'flannel.1']);
    await start();
    await clock.advance(60_000);
    expect([host.closed.size, reason()]).toEqual([0, 'fine']);
    expect(lines).toEqual([expect.stringContaining('set net.ipv4.ip_forward to 1')]);
  }));

it('forwarding is not fought for: within a minute it is turned on once', () =>
  bed(async ({ host, start, clock, calls, reason }) => {
    for (let round = 0; round < 30; round++) {
      host.closed = new Set(['all', 'flannel.1']);
      await (round === 0 ? start() : clock.advance(LIMITS.hostCheckMs));
      if (round > 0) expect(reason()).toContain('another program has set it to 0 again');
    }
    expect(calls.open).toBe(1);
    await clock.advance(LIMITS.hostCheckMs);
    expect([calls.open, reason()]).toEqual([2, 'fine']);
  }));

it('forwarding that cannot be turned on is a condition that goes when somebody turns it on', () =>
  bed(async ({ host, start, clock, lines, reason }) => {
    host.closed = new Set(['all', 'flannel.1']);
    host.isReadOnly = true;
    await start();
    await clock.advance(10 * LIMITS.hostCheckMs);
    expect(reason()).toMatch(/^\/proc\/sys\/net\/ipv4\/ip_forward is 0, .*read-only.*sysctl -w/);
    host.closed.clear();
    await clock.advance(LIMITS.hostCheckMs);
    expect(reason()).toBe('fine');
    expect(lines).toHaveLength(2);
  }));

it('forwarding that shall be left alone is a condition', () =>
  bed(
    async ({ host, start, clock, calls, reason }) => {
      host.closed = new Set(['all', 'flannel.1']);
      await start();
      await clock.advance(10 * LIMITS.hostCheckMs);
      expect(reason()).toMatch(/^\/proc\/sys\/net\/ipv4\/ip_forward is 0, .*\(--ip-forward=off .*sysctl -w/);
      host.closed = new Set(['flannel.1']);
      await clock.advance(LIMITS.hostCheckMs);
      expect(reason()).toMatch(/^\S+\/flannel\.1\/forwarding is 0, .*\(--ip-forward=off /);
      expect(calls.open).toBe(0);
    },
    { opens: false },
  ));

it('addresses are read rarely, and as often as forwarding while they are at fault', () =>
  bed(async ({ host, start, clock, calls, reason }) => {
    await start();
    await clock.advance(60_000);
    expect([calls.addressesIn, calls.closedLinks]).toEqual([11, 31]);
    host.addresses = [DOCKER];
    await clock.advance(LIMITS.hostCheckAllMs);
    expect(reason()).toMatch(/^docker0 has 10\.5\.0\.1\/16/);
    host.addresses = [{ ...DOCKER, prefix: prefix('10.5.1.1/24') }];
    await clock.advance(LIMITS.hostCheckMs);
    expect(reason()).toBe('fine');
  }));

it('a bridge that comes or goes is told of at once, and not again', () =>
  bed(async ({ host, start, clock, checker, changes, ring }) => {
    await start();
    expect([checker.bridges, changes()]).toEqual([[], 1]);
    await clock.advance(1_000);
    host.addresses = [{ ...DOCKER, prefix: prefix('10.5.1.1/24') }];
    ring();
    await clock.advance(1);
    const bridge = { name: 'docker0', network: prefix('10.5.1.0/24') };
    expect([checker.bridges, changes()]).toEqual([[bridge], 2]);
    await clock.advance(30_000);
    ring();
    await clock.advance(1_000);
    expect(changes()).toBe(2);
    host.addresses = [];
    ring();
    await clock.advance(1);
    expect([checker.bridges, changes()]).toEqual([[], 3]);
  }));

it('bridges in another order are the same ones', () =>
  bed(async ({ host, start, clock, changes, ring }) => {
    const parts = ['10.5.1.1/25', '10.5.1.129/25'].map((text) => ({ ...DOCKER, prefix: prefix(text) }));
    host.addresses = parts;
    await start();
    host.addresses = parts.toReversed();
    ring();
    await clock.advance(1_000);
    expect(changes()).toBe(1);
  }));

it('addresses that change all the time are read at a limited rate', () =>
  bed(async ({ start, clock, calls, ring }) => {
    await start();
    for (let time = 0; time < 10_000; time += 10) {
      ring();
      await clock.advance(10);
    }
    expect(calls.addressesIn).toBeGreaterThan(40);
    expect(calls.addressesIn).toBeLessThan(55);
  }));

it('a host that tells of no change is polled, and the log says so', () =>
  bed(
    async ({ start, clock, calls, lines }) => {
      await start();
      await clock.advance(60_000);
      expect(calls.addressesIn).toBe(11);
      expect(lines).toEqual([expect.stringContaining('polling the addresses: cannot watch')]);
    },
    { isWatched: false },
  ));

it('thousands of addresses are read more rarely', () =>
  bed(async ({ host, start, clock, calls }) => {
    host.seen = 1_000;
    await start();
    await clock.advance(64_000);
    expect([calls.addressesIn, calls.closedLinks]).toEqual([5, 33]);
    host.seen = 1_000_000;
    await clock.advance(168_000);
    expect(calls.addressesIn).toBe(5 + 3);
  }));

it('a bridge of our subnet that is closed is a condition, and is not opened', () =>
  bed(async ({ host, start, reason, calls }) => {
    host.addresses = [{ ...DOCKER, prefix: prefix('10.5.1.1/24') }];
    host.closed = new Set(['docker0']);
    await start();
    expect([reason().includes('/conf/docker0/forwarding is 0'), calls.open]).toEqual([true, 0]);
  }));

it('a bridge that still has a subnet of an earlier time is named', () =>
  bed(async ({ checker, host, start, clock, lines, ring }) => {
    host.addresses = [{ ...DOCKER, prefix: prefix('10.5.7.1/24') }];
    await start();
    const [plane] = planesOf(hostFacts(), OVERLAYS, { ipv4: prefix('10.5.2.0/24') });
    checker.want(plane, () => []);
    host.addresses = [
      { ...DOCKER, prefix: prefix('10.5.2.1/25') },
      { ...DOCKER, dev: 'podman1', prefix: prefix('10.5.1.1/24') },
    ];
    ring();
    await clock.advance(1_000);
    expect(lines).toEqual([
      expect.stringContaining("docker0 still has 10.5.7.1/24 of this node's former subnet 10.5.7.0/24: "),
      expect.stringContaining("podman1 still has 10.5.1.1/24 of this node's former subnet 10.5.1.0/24: "),
    ]);
  }));

it('a warning is logged once, and again when it has been gone', () =>
  bed(async ({ host, start, clock, lines }) => {
    const other = [
      { dev: 'virbr0', isBridge: true, answersForOthers: false, prefix: prefix('10.5.122.1/24') },
    ];
    host.addresses = other;
    await start();
    await clock.advance(60_000);
    expect(lines).toHaveLength(1);
    host.addresses = [];
    await clock.advance(LIMITS.hostCheckAllMs);
    host.addresses = other;
    await clock.advance(LIMITS.hostCheckAllMs);
    expect(lines).toHaveLength(2);
  }));

it('a host that cannot be read makes no condition, and holds nothing up', () =>
  bed(async ({ host, start, checker, reason, clock, calls }) => {
    host.addresses = undefined;
    await start();
    expect([checker.stands, reason()]).toEqual([true, 'fine']);
    host.addresses = [DOCKER];
    await clock.advance(LIMITS.hostCheckMs);
    expect([reason().startsWith('docker0 has'), calls.addressesIn]).toEqual([true, 2]);
  }));

import { describe, expect, it } from 'vitest';
import { planFirewall } from '../../../agent/firewall/rules.ts';
import type { NodeFirewall, Traffic } from '../../../agent/model/firewall.ts';
import type { RulesetChange } from '../../../agent/model/ruleset.ts';
import { FirewallKeeper } from '../../../agent/node/firewall-keeper.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';

const network = { family: 'ipv4', address: '10.5.0.0', length: 16 } as const;
const subnet = { family: 'ipv4', address: '10.5.3.0', length: 24 } as const;
const RULES = planFirewall({
  network,
  subnet,
  ipMasq: true,
  forwardRules: true,
  randomFully: true,
  dockerDirect: true,
  links: [],
  bridges: [],
});
const TRAFFIC: Traffic = { network, subnet, peerLinks: ['flannel.1'], underlay: 'eth0', bridges: [] };
const SECOND = 1_000;
const RESYNC_MS = 5 * SECOND;

const changeOf = (chain: string): RulesetChange => ({
  kind: 'rule',
  isGone: true,
  table: 'ip filter',
  chain,
  isHooked: false,
  isBehind: false,
  mentions: () => false,
});
const OURS = changeOf('FLANNEL-FWD');
const FORWARD = changeOf('FORWARD');
const THEIRS = changeOf('KUBE-SERVICES');

interface Bed {
  readonly clock: VirtualClock;
  readonly keeper: FirewallKeeper;
  /** Looks at our rules and searches for obstacles since the last call. */
  readonly counts: () => { readonly looks: number; readonly searches: number };
}

interface World {
  readonly isAnnounced?: boolean;
  readonly isWatched?: boolean;
  readonly lookMs?: number;
  readonly searchMs?: number;
  readonly fails?: () => boolean;
  readonly hasUnheardChange?: () => boolean;
}

/** A keeper whose rules stand, and which has nothing to do. */
async function withKeeper(world: World, work: (bed: Bed) => Promise<void>): Promise<void> {
  const {
    isAnnounced = true,
    isWatched = true,
    lookMs = 1,
    searchMs = 1,
    fails = () => false,
    hasUnheardChange = () => false,
  } = world;
  const clock = createVirtualClock();
  let [looks, searches] = [0, 0];
  const firewall: NodeFirewall = {
    mode: 'iptables',
    isAnnounced: () => isAnnounced,
    isConcerned: (change) => change === OURS,
    mayObstruct: (change) => change !== THEIRS,
    hasUnheardChange: async () => hasUnheardChange(),
    async ensure() {
      looks++;
      await clock.sleep(lookMs);
      if (fails()) throw new Error('busy');
      return 'present';
    },
    remove: async () => false,
    async obstacles() {
      searches++;
      await clock.sleep(searchMs);
      return [];
    },
  };
  const keeper = new FirewallKeeper({
    firewall,
    resyncMs: RESYNC_MS,
    isWatched: () => isWatched,
    clock,
    log: captureLog('twill').log,
  });
  const stop = new AbortController();
  const running = keeper.run(() => undefined, stop.signal);
  await clock.advance(SECOND);
  expect([looks, searches]).toEqual([0, 0]);
  keeper.want(RULES, TRAFFIC);
  await clock.advance(lookMs + searchMs + SECOND);
  const counts: Bed['counts'] = () => {
    const now = { looks, searches };
    [looks, searches] = [0, 0];
    return now;
  };
  expect(counts()).toEqual({ looks: 1, searches: 1 });
  await work({ clock, keeper, counts });
  stop.abort();
  await running.catch(() => undefined);
}

describe('FirewallKeeper', () => {
  it('the keeper looks at once after a change of ours, and searches after one of a chain that it reads', () =>
    withKeeper({}, async ({ clock, keeper, counts }) => {
      await clock.advance(3 * SECOND);
      keeper.notice(OURS);
      await clock.advance(LIMITS.firewallDelayMs + 2);
      expect(counts()).toEqual({ looks: 1, searches: 1 });
      await clock.advance(3 * SECOND);
      keeper.notice(FORWARD);
      await clock.advance(LIMITS.firewallDelayMs + 2);
      expect(counts()).toEqual({ looks: 0, searches: 1 });
    }));

  it('the keeper does nothing for ten thousand changes of others', () =>
    withKeeper({}, async ({ clock, keeper, counts }) => {
      for (let i = 0; i < 10_000; i++) {
        keeper.notice(THEIRS);
        await clock.advance(1);
      }
      expect(counts()).toEqual({ looks: 0, searches: 0 });
    }));

  it('the keeper looks once a minute where the kernel tells of changes', () =>
    withKeeper({}, async ({ clock, counts }) => {
      await clock.advance(10 * 60 * SECOND);
      expect(counts()).toEqual({ looks: 10, searches: 0 });
    }));

  it('the keeper searches at its next look after a change that the kernel does not tell of', () => {
    let isChanged = false;
    return withKeeper({ hasUnheardChange: () => isChanged }, async ({ clock, counts }) => {
      await clock.advance(2 * 60 * SECOND);
      expect(counts()).toEqual({ looks: 2, searches: 0 });
      isChanged = true;
      await clock.advance(60 * SECOND);
      expect(counts()).toEqual({ looks: 1, searches: 1 });
    });
  });

  it('the keeper searches when other traffic must pass', () =>
    withKeeper({}, async ({ clock, keeper, counts }) => {
      keeper.want(RULES, { ...TRAFFIC, bridges: [{ name: 'docker0', network: subnet }] });
      await clock.advance(SECOND);
      expect(counts()).toEqual({ looks: 0, searches: 1 });
    }));

  it.each([
    ['the old iptables', { isAnnounced: false }],
    ['a kernel whose events do not arrive', { isWatched: false }],
    ['a firewall that fails', { fails: () => true }],
  ])('the keeper looks at each interval: %s', (_, world) =>
    withKeeper(world, async ({ clock, counts }) => {
      await clock.advance(10 * RESYNC_MS);
      expect(counts().looks).toBeGreaterThanOrEqual(9);
    }),
  );

  it('the keeper notices changes that it missed', () =>
    withKeeper({}, async ({ clock, keeper, counts }) => {
      keeper.notice();
      await clock.advance(SECOND);
      expect(counts()).toEqual({ looks: 1, searches: 1 });
    }));

  it('searches that take long become rare while the chains change and nothing new is found', () =>
    withKeeper({ searchMs: 500 }, async ({ clock, keeper, counts }) => {
      for (let i = 0; i < 1_000; i++) {
        keeper.notice(FORWARD);
        await clock.advance(SECOND);
      }
      expect(counts()).toEqual({ looks: 16, searches: 14 });
      await clock.advance(200 * SECOND);
      counts();
      keeper.notice(FORWARD);
      await clock.advance(SECOND);
      expect(counts().searches).toBe(1);
      keeper.notice(FORWARD);
      await clock.advance(LIMITS.firewallSearchParts * 2 * 500);
      expect(counts().searches).toBe(1);
    }));

  it('looks that take long take half of the time, however often our rules change', () =>
    withKeeper({ lookMs: 4 * SECOND }, async ({ clock, keeper, counts }) => {
      for (let i = 0; i < 200; i++) {
        keeper.notice(OURS);
        await clock.advance(SECOND);
      }
      const { looks } = counts();
      expect(looks).toBeGreaterThanOrEqual(20);
      expect(looks).toBeLessThanOrEqual(25);
    }));
});

import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import type { Backend } from '../../../agent/model/backend.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import { planesOf } from '../../../agent/model/plane.ts';
import type { RulesetChange } from '../../../agent/model/ruleset.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { PublicAddresses } from '../../../agent/node/public-addresses.ts';
import { TunnelKeeper } from '../../../agent/node/tunnel-keeper.ts';
import { createBackend } from '../../../backends/index.ts';
import { createMemoryTunnelFilter, type MemoryTunnelFilter } from '../../fakes/memory-tunnel-filter.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { hostFacts, prefix } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';
import { vxlanPeer } from '../../support/golden-states.ts';

const PUBLIC = '203.0.113.1';
const [plane] = planesOf(
  hostFacts({ publicIP: PUBLIC }),
  { ipv4: { network: prefix('10.5.0.0/16'), subnetLength: 24 } },
  { ipv4: prefix('10.5.1.0/24') },
);
const OWN = ['192.168.77.1', PUBLIC];
const vxlan = await createBackend({ type: 'vxlan', options: {} }, '');
const hostGw = await createBackend({ type: 'host-gw', options: {} }, '');

const DELETED: RulesetChange = {
  kind: 'table',
  isGone: true,
  table: 'ip twill-tunnel',
  chain: undefined,
  isHooked: false,
  isBehind: false,
  mentions: () => false,
};

interface Bed {
  readonly clock: VirtualClock;
  readonly filter: MemoryTunnelFilter;
  readonly lines: string[];
  readonly keeper: TunnelKeeper;
  /** Wants the filter, and gives the calls that it took. */
  readonly want: (leases: readonly Lease[], backend?: Backend) => Promise<string[]>;
  readonly advance: (ms: number) => Promise<string[]>;
  /** The next calls fail with this. */
  fault: TwillError | undefined;
}

async function withKeeper(isEnabled: boolean, work: (bed: Bed) => Promise<void>): Promise<void> {
  const clock = createVirtualClock();
  const filter = createMemoryTunnelFilter();
  const { log, lines } = captureLog('twill');
  const publicAddresses = new PublicAddresses();
  const planner = { planes: plane === undefined ? [] : [plane], publicAddresses };
  const calls: string[] = [];
  const called = (name: string): void => {
    calls.push(name);
    if (bed.fault !== undefined) throw bed.fault;
  };
  const keeper = new TunnelKeeper({
    filter: {
      ...filter,
      async replace(rules, nodes) {
        called('replace');
        await filter.replace(rules, nodes);
      },
      async change(added, removed) {
        called(`change +${added.join(' ')} -${removed.join(' ')}`);
        await filter.change(added, removed);
      },
      async remove() {
        called('remove');
        return filter.remove();
      },
    },
    isEnabled,
    clock,
    random: () => 0,
    log,
  });
  const advance: Bed['advance'] = async (ms) => {
    await clock.advance(ms);
    return calls.splice(0);
  };
  const bed: Bed = {
    clock,
    filter,
    lines,
    keeper,
    advance,
    async want(leases, backend = vxlan) {
      for (const address of publicAddresses) publicAddresses.remove(address);
      for (const { attrs } of leases) publicAddresses.add(attrs.publicIP.ipv4 ?? '');
      keeper.want(backend, planner);
      keeper.follow();
      return advance(1);
    },
    fault: undefined,
  };
  const stop = new AbortController();
  const running = keeper.run(stop.signal);
  expect(await advance(1_000)).toEqual([]);
  await work(bed);
  stop.abort();
  await running.catch(() => undefined);
}

const nodesIn = ({ held }: MemoryTunnelFilter): string[] | undefined => held && [...held.nodes].toSorted();

describe('TunnelKeeper', () => {
  it('the keeper lets in the peers and this node, and writes only those that come or go', () =>
    withKeeper(true, async ({ filter, want, lines }) => {
      expect(await want([vxlanPeer(2), vxlanPeer(3)])).toEqual(['replace']);
      expect(nodesIn(filter)).toEqual([...OWN, '192.168.77.2', '192.168.77.3'].toSorted());
      expect(await want([vxlanPeer(2), vxlanPeer(4)])).toEqual(['change +192.168.77.4 -192.168.77.3']);
      expect(await want([vxlanPeer(2), vxlanPeer(4)])).toEqual([]);
      expect(nodesIn(filter)).toEqual([...OWN, '192.168.77.2', '192.168.77.4'].toSorted());
      expect(lines).toEqual(['info  twill: only nodes reach the tunnel port port=8472']);
    }));

  it('the keeper never locks out the addresses of this node, which a lease may name', () =>
    withKeeper(true, async ({ filter, want }) => {
      const [address = ''] = OWN;
      const claimed = vxlanPeer(2);
      const lease = { ...claimed, attrs: { ...claimed.attrs, publicIP: { ipv4: address } } };
      await want([lease]);
      expect(await want([])).toEqual([]);
      expect(nodesIn(filter)).toEqual([...OWN].toSorted());
    }));

  it('the keeper writes everything anew from time to time, so that the filter lasts', () =>
    withKeeper(true, async ({ want, advance }) => {
      await want([]);
      expect(await advance(LIMITS.tunnelRenewMs)).toEqual(['replace']);
      expect(await advance(10 * LIMITS.tunnelRenewMs)).toEqual(Array.from({ length: 10 }, () => 'replace'));
    }));

  it('the keeper repairs the filter after a change by others, and not after others', () =>
    withKeeper(true, async ({ filter, want, keeper, advance, lines }) => {
      await want([]);
      keeper.notice(DELETED);
      expect(await advance(1)).toEqual([]);
      filter.held = undefined;
      keeper.notice({ ...DELETED, table: 'ip nat' });
      expect(await advance(1)).toEqual([]);
      keeper.notice(DELETED);
      expect(await advance(1)).toEqual(['replace']);
      expect(lines.at(-1)).toBe('warn  twill: repaired the filter of the tunnel port');
    }));

  it('the keeper writes everything anew when a change of single peers fails', () =>
    withKeeper(true, async ({ filter, want, advance, lines }) => {
      await want([vxlanPeer(2)]);
      filter.held = undefined;
      expect(await want([vxlanPeer(3)])).toEqual(['change +192.168.77.3 -192.168.77.2']);
      expect(await advance(LIMITS.tunnelBackoff.firstMs)).toEqual(['replace']);
      expect(nodesIn(filter)).toContain('192.168.77.3');
      expect(lines.at(-1)).toBe('info  twill: the tunnel port can be filtered again');
    }));

  it('the keeper says once that the filter cannot be had, and tries ever less often', () =>
    withKeeper(true, async (bed) => {
      bed.fault = new TwillError('host', 'cannot filter the tunnel port: nft is not installed', {
        hint: 'install the package nftables',
      });
      await bed.want([]);
      const attempts = await bed.advance(600_000);
      expect(attempts.length).toBeGreaterThan(10);
      expect(attempts.length).toBeLessThan(60);
      expect(bed.lines).toEqual([
        'warn  twill: cannot filter the tunnel port: nft is not installed; install the package nftables',
      ]);
      bed.fault = undefined;
      expect(await bed.advance(LIMITS.tunnelBackoff.maxMs / 2)).toEqual(['replace']);
    }));

  it.each([
    ['the operator wants none', false, vxlan],
    ['the backend has no tunnel', true, hostGw],
  ])('the keeper removes the filter of an earlier run, once, where %s', (_, isEnabled, backend) =>
    withKeeper(isEnabled, async ({ filter, want, lines }) => {
      if (plane === undefined || vxlan.tunnel === undefined) throw new Error('no plane');
      const { network, subnet } = plane;
      await filter.replace({ tunnel: vxlan.tunnel, network, subnet, addresses: OWN }, []);
      expect(await want([], backend)).toEqual(['remove']);
      expect(filter.held).toBeUndefined();
      expect(await want([vxlanPeer(2)], backend)).toEqual([]);
      expect(lines).toEqual(['info  twill: removed the filter of the tunnel port']);
    }),
  );
});

// The planner keeps a host state in step with leases: incrementally, with the same result as a fresh plan.
import { describe, expect, it } from 'vitest';
import { formatHostState, type HostState, keyOf } from '../../../agent/model/host-state.ts';
import { formatPrefix, overlaps } from '../../../agent/model/ip.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import { sparedPrefixes } from '../../../agent/model/plane.ts';
import { createPlanner, type Planner } from '../../../agent/node/planner.ts';
import { createBackend } from '../../../backends/index.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { hostFacts, OVERLAYS, prefix } from '../../support/build.ts';
import { hostGwPeer, peer, vxlanPeer } from '../../support/golden-states.ts';

const SUBNETS = { ipv4: prefix('10.5.1.0/24') };
const FACTS = hostFacts();

async function plannerWith(type: string, ...leases: readonly Lease[]): Promise<Planner> {
  const planner = createPlanner({
    backend: await createBackend({ type, options: {} }, 'test'),
    overlays: OVERLAYS,
    blackholeRoute: true,
  });
  planner.plan(FACTS, SUBNETS, leases);
  return planner;
}

/** The changes since the last plan as lines: `-` an object that goes, `+` one that comes. Lists no lease. */
function planned(planner: Planner): string[] {
  return [...planner.plan(FACTS, SUBNETS, []).values()].flatMap(({ before, after }) => [
    ...(before === undefined ? [] : [`- ${formatHostState([before]).trim()}`]),
    ...(after === undefined ? [] : [`+ ${formatHostState([after]).trim()}`]),
  ]);
}

describe('the links that packets of peers come in by', () => {
  it('the device of the overlay counts without peers, and the underlay with a peer that needs no tunnel', async () => {
    const direct = createPlanner({
      backend: await createBackend({ type: 'vxlan', options: { DirectRouting: true } }, 'test'),
      overlays: OVERLAYS,
      blackholeRoute: true,
    });
    const near = vxlanPeer(2);
    direct.plan(FACTS, SUBNETS, []);
    expect(direct.links).toEqual(['flannel.1']);
    direct.update(near.key, near);
    direct.plan(FACTS, SUBNETS, []);
    expect(direct.links).toEqual(['eth0', 'flannel.1']);
    direct.update(near.key, undefined);
    expect(direct.links).toEqual(['flannel.1']);
    direct.plan(FACTS, undefined, []);
    expect(direct.links).toEqual([]);
  });

  it('one of two peers that goes takes no link with it', async () => {
    const planner = await plannerWith('host-gw', hostGwPeer(2), hostGwPeer(3));
    expect(planner.links).toEqual(['eth0']);
    planner.update(hostGwPeer(2).key, undefined);
    expect(planner.links).toEqual(['eth0']);
    planner.update(hostGwPeer(3).key, undefined);
    expect(planner.links).toEqual([]);
  });
});

describe('a lease over addresses that the host needs', () => {
  const cases: readonly (readonly [string, string, readonly string[], string | undefined])[] = [
    ["the underlay's prefix", '10.5.8.0/24', ['10.5.8.0/24'], '10.5.8.0/24 overlaps 10.5.8.0/24'],
    [
      "a part of the underlay's prefix",
      '10.5.8.128/25',
      ['10.5.8.0/24'],
      'overlaps 10.5.8.0/24, whose hosts',
    ],
    ["more than the underlay's prefix", '10.5.8.0/22', ['10.5.9.0/24'], 'overlaps 10.5.9.0/24'],
    ['a gateway that is on the link by itself', '10.5.8.0/24', ['10.5.8.1/32'], 'overlaps 10.5.8.1/32'],
    ['an address of the datastore', '10.5.7.0/24', [], 'contains 10.5.7.9, an address of the datastore'],
    ['the address of this host', '10.5.6.0/24', [], 'contains 10.5.6.6, the address of this host'],
    ['a part of a prefix that holds the whole network', '10.5.8.0/24', ['10.0.0.0/8'], undefined],
    ['nothing of the host', '10.5.8.0/24', ['10.5.9.0/24', '192.168.77.0/24'], undefined],
  ];
  it.each(cases)('a lease over %s', async (_, subnet, onLink, reason) => {
    const overlays = { ipv4: { ...OVERLAYS.ipv4, subnetLength: undefined } };
    const planner = createPlanner({
      backend: await createBackend({ type: 'host-gw', options: {} }, 'test'),
      overlays,
      blackholeRoute: false,
      datastore: ['10.5.7.9'],
    });
    const facts = hostFacts({ address: '10.5.6.6', onLink });
    const spared = sparedPrefixes(overlays.ipv4.network, facts.ends, ['10.5.7.9']);
    expect(spared.some((each) => overlaps(each, prefix(subnet)))).toBe(reason !== undefined);
    const lease = peer(subnet, '192.168.77.2', 'host-gw');
    planner.plan(facts, SUBNETS, [lease, peer('10.5.2.0/24', '192.168.77.3', 'host-gw')]);
    const [condition] = planner.conditions();
    const routes = planner.state().map(keyOf);
    if (reason === undefined) {
      expect([condition, routes]).toEqual([undefined, ['route 10.5.2.0/24', `route ${subnet}`]]);
      return;
    }
    expect(condition?.reason).toContain(reason);
    expect([condition?.peer.subnet, routes]).toEqual([subnet, ['route 10.5.2.0/24']]);
    planner.update(lease.key, undefined);
    expect([planner.conditions(), planner.plan(facts, SUBNETS, []).size]).toEqual([[], 0]);
  });
});

describe('the planner', () => {
  it('the planner reports only the entries of the lease that came, changed or went', async () => {
    const planner = await plannerWith('vxlan', vxlanPeer(2), vxlanPeer(3));
    planner.update('10.5.4.0-24', vxlanPeer(4));
    expect(planned(planner)).toEqual([
      '+ neigh 10.5.4.0 lladdr 02:00:00:00:00:04 dev flannel.1',
      '+ fdb 02:00:00:00:00:04 dst 192.168.77.4 dev flannel.1',
      '+ route 10.5.4.0/24 via 10.5.4.0 dev flannel.1 onlink',
    ]);
    planner.update('10.5.4.0-24', vxlanPeer(4, '02:00:00:00:00:04', '192.168.77.44'));
    expect(planned(planner)).toEqual([
      '- fdb 02:00:00:00:00:04 dst 192.168.77.4 dev flannel.1',
      '+ fdb 02:00:00:00:00:04 dst 192.168.77.44 dev flannel.1',
    ]);
    planner.update('10.5.4.0-24', undefined);
    expect(planned(planner)).toHaveLength(3);
    expect(planned(planner)).toEqual([]);
  });

  it('the planner reports nothing when a lease is rewritten with the same meaning', async () => {
    const planner = await plannerWith('vxlan', vxlanPeer(2));
    planner.update('10.5.2.0-24', { ...vxlanPeer(2), revision: 9 });
    expect(planned(planner)).toEqual([]);
    planner.invalidate();
    expect([...planner.plan(FACTS, SUBNETS, [vxlanPeer(2)])]).toEqual([]);
    expect([...planner.plan(hostFacts(), SUBNETS, [vxlanPeer(2)])]).toEqual([]);
  });

  it('the planner sums up several changes of one key as the first state and the last one', async () => {
    const planner = await plannerWith('host-gw', hostGwPeer(2));
    planner.update('10.5.2.0-24', hostGwPeer(2, '192.168.77.22'));
    planner.update('10.5.2.0-24', hostGwPeer(2, '192.168.77.23'));
    expect(planned(planner)).toEqual([
      '- route 10.5.2.0/24 via 192.168.77.2 dev eth0',
      '+ route 10.5.2.0/24 via 192.168.77.23 dev eth0',
    ]);
  });

  it('the planner wants nothing without a subnet', async () => {
    const planner = await plannerWith('vxlan', vxlanPeer(2));
    planner.plan(FACTS, undefined, [vxlanPeer(2)]);
    expect(planner.state()).toEqual([]);
    expect(planner.planes).toEqual([]);
  });

  it('the planner gives the same planes while host and subnets are the same', async () => {
    const planner = await plannerWith('vxlan', vxlanPeer(2));
    const { planes } = planner;
    planner.update('10.5.3.0-24', vxlanPeer(3));
    planner.plan(FACTS, SUBNETS, []);
    expect(planner.planes).toBe(planes);
  });

  it('the planner counts nodes with another backend', async () => {
    const planner = await plannerWith('vxlan', vxlanPeer(2), hostGwPeer(3));
    expect(planner.strangers).toBe(1);
    planner.update('10.5.3.0-24', vxlanPeer(3));
    expect(planner.strangers).toBe(0);
  });

  it('the planner holds after any changes the plan of as many leases as go together, and its changes lead there', async () => {
    const random = seededRandom(7);
    const pick = (n: number): number => Math.floor(random() * n);
    const planner = await plannerWith('vxlan');
    const leases = new Map<string, Lease>();
    const told = new Map(planner.state().map((object) => [keyOf(object), object]));
    for (let step = 0; step < 500; step++) {
      // Few subnets, MACs and addresses, so that leases meet in them.
      const subnet = 2 + pick(6);
      const key = `10.5.${subnet}.0-24`;
      const lease = {
        ...vxlanPeer(subnet, `02:00:00:00:00:0${pick(4)}`, `192.168.77.${1 + pick(4)}`),
        revision: step + 1,
      };
      if (random() < 0.3) leases.delete(key);
      else leases.set(key, random() < 0.1 ? { ...lease, attrs: hostGwPeer(subnet).attrs } : lease);
      planner.update(key, leases.get(key));
      if (random() < 0.05) planner.invalidate();
      if (random() < 0.7) continue;
      for (const [changed, { before, after }] of planner.plan(FACTS, SUBNETS, leases.values())) {
        expect(told.get(changed)).toBe(before);
        if (after === undefined) told.delete(changed);
        else told.set(changed, after);
      }
      const text = (state: HostState): string => formatHostState(state);
      expect(text([...told.values()]), `step ${step}`).toBe(text(planner.state()));
      const leftOut = new Set(planner.conditions().map(({ peer: { subnet } }) => subnet.replace('/', '-')));
      const peers = [...leases.values()].filter((each) => !leftOut.has(each.key));
      const fresh = await plannerWith('vxlan', ...peers);
      expect([text(fresh.state()), fresh.conditions()], `step ${step}`).toEqual([text(planner.state()), []]);
      for (const key of leftOut) {
        const one = leases.get(key);
        const more = await plannerWith('vxlan', ...peers, ...(one === undefined ? [] : [one]));
        expect(more.conditions(), `step ${step}: ${key} is left out without need`).not.toEqual([]);
      }
    }
  });
});

describe('the peers of a plane', () => {
  const peers = async (type: string, subnetLength: number | undefined, ...leases: readonly Lease[]) => {
    const planner = createPlanner({
      backend: await createBackend({ type, options: {} }, 'test'),
      overlays: { ipv4: { ...OVERLAYS.ipv4, subnetLength } },
      blackholeRoute: false,
    });
    planner.plan(FACTS, SUBNETS, leases);
    const [plane] = planner.planes;
    if (plane === undefined) throw new Error('no plane');
    return {
      subnets: planner.peers(plane).map(({ subnet }) => formatPrefix(subnet)),
      reasons: planner.conditions().map(({ reason }) => reason.replace(': no route leads there', '')),
    };
  };

  it('peers are the other nodes in the network with the same backend', async () => {
    const leases = [peer('10.5.4.0/24', '192.168.77.4', 'udp'), peer('10.5.5.0/24', '192.168.77.5', 'vxlan')];
    expect(await peers('udp', 24, ...leases)).toEqual({ subnets: ['10.5.4.0/24'], reasons: [] });
  });

  it('peers have subnets of any length where another system assigns them', async () => {
    const leases = [peer('10.5.128.0/17', '192.168.77.4', 'udp'), peer('10.5.4.9/32', '192.168.77.5', 'udp')];
    expect((await peers('udp', undefined, ...leases)).subnets).toEqual(['10.5.128.0/17', '10.5.4.9/32']);
    expect(await peers('udp', 24, ...leases)).toEqual({
      subnets: [],
      reasons: [
        '10.5.128.0/17 is not a /24, as all subnets are',
        '10.5.4.9/32 is not a /24, as all subnets are',
      ],
    });
  });

  it.each([
    ['our own lease', '10.5.1.0/24', '192.168.77.1', undefined],
    ['our own lease at our former address', '10.5.1.0/24', '192.168.77.9', undefined],
    ['a lease at our own address', '10.5.2.0/24', '192.168.77.1', undefined],
    ['a lease on a part of our subnet', '10.5.1.128/25', '192.168.77.9', 'overlaps our subnet 10.5.1.0/24'],
    ['a lease around our subnet', '10.5.0.0/17', '192.168.77.9', 'overlaps our subnet 10.5.1.0/24'],
    ['a lease on the whole network', '10.5.0.0/16', '192.168.77.9', 'overlaps our subnet 10.5.1.0/24'],
    ['a lease around the network', '10.0.0.0/8', '192.168.77.9', 'outside of the network 10.5.0.0/16'],
    ['a lease on everything', '0.0.0.0/0', '192.168.77.9', 'outside of the network 10.5.0.0/16'],
    ['a lease beside the network', '10.6.2.0/24', '192.168.77.9', 'outside of the network 10.5.0.0/16'],
    ['a lease on the underlay', '192.168.77.0/24', '192.168.77.9', 'outside of the network 10.5.0.0/16'],
    [
      'a lease at an address of no host',
      '10.5.2.0/24',
      '127.0.0.1',
      '127.0.0.1 is not the address of a host',
    ],
    ['a lease at a group', '10.5.2.0/24', '224.0.0.9', '224.0.0.9 is not the address of a host'],
    [
      'a lease at all hosts',
      '10.5.2.0/24',
      '255.255.255.255',
      '255.255.255.255 is not the address of a host',
    ],
    ['a lease at its own subnet', '10.5.2.0/24', '10.5.2.9', '10.5.2.0/24 contains 10.5.2.9, its own'],
    ['a lease at our subnet', '10.5.2.0/24', '10.5.1.9', '10.5.1.9 is in our subnet 10.5.1.0/24'],
  ])('peers do not include %s', async (_, subnet, publicIP, reason) => {
    const { subnets, reasons } = await peers('host-gw', undefined, peer(subnet, publicIP, 'host-gw'));
    expect(subnets).toEqual([]);
    expect(reasons).toEqual(reason === undefined ? [] : [expect.stringContaining(reason)]);
  });

  it('a peer without an announcement of the backend is left out with a reason', async () => {
    const nonsense = peer('10.5.2.0/24', '192.168.77.2', 'vxlan', { VtepMAC: 'nonsense' });
    expect(await peers('vxlan', 24, nonsense)).toEqual({
      subnets: [],
      reasons: ['its announcement is not one of vxlan'],
    });
  });
});

// Leases that claim one thing: who has it, and why the others are left out.
import { describe, expect, it } from 'vitest';
import { formatHostState } from '../../../agent/model/host-state.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import { hostFacts, prefix } from '../../support/build.ts';
import { hostGwPeer, peer } from '../../support/golden-states.ts';
import { at, bed, FACTS, MAC, SUBNETS } from './contest-bed.ts';

const [old, young] = [at(2, 5, MAC), at(3, 9, MAC)];

describe('leases that claim one thing', () => {
  it('the older one has it, the other one is left out wholly, and comes in when the older one goes', async () => {
    for (const leases of [
      [old, young],
      [young, old],
    ]) {
      const { owner, routes, reasons, drop } = await bed('vxlan', leases);
      expect([owner(), routes()]).toEqual(['192.168.77.2', '2']);
      expect(reasons()).toEqual([
        `10.5.3.0/24: the lease 10.5.2.0-24 has fdb ${MAC} flannel.1 already: no route leads there`,
      ]);
      drop(old);
      expect([owner(), routes(), reasons()]).toEqual(['192.168.77.3', '3', []]);
    }
  });

  it('leases of one age are taken by their keys', async () => {
    const { routes } = await bed('vxlan', [at(3, 5, MAC), at(2, 5, MAC)]);
    expect(routes()).toBe('2');
  });

  it('one node may have two leases', async () => {
    const { routes, owner, drop } = await bed('vxlan', [old, at(3, 9, MAC, '192.168.77.2')]);
    expect(routes()).toBe('2 3');
    drop(old);
    expect([routes(), owner()]).toEqual(['3', '192.168.77.2']);
  });

  it('a younger one that has it in this run keeps it, also in a new listing and on another host', async () => {
    const { put, list, owner, routes } = await bed('vxlan', [young, at(2, 5, '02:00:00:00:00:02')]);
    put(old);
    expect([owner(), routes()]).toEqual(['192.168.77.3', '3']);
    list();
    list(hostFacts({ address: '192.168.77.200' }));
    expect([owner(), routes()]).toEqual(['192.168.77.3', '3']);
  });

  it.each([
    ['vxlan', at(2, 5, MAC), at(2, 9, '02:00:00:00:00:99', '192.168.77.9')],
    ['host-gw', { ...hostGwPeer(2), created: 5 }, { ...hostGwPeer(2, '192.168.77.9'), created: 9 }],
  ])(
    'with %s the older one of two has their subnet, also where the younger one was first here',
    async (...row) => {
      const [type, elder, other] = row;
      const younger: Lease = { ...other, key: '10.5.2.0-24&fd00::-64' };
      const { planner, put } = await bed(type, [younger]);
      const owners = (): string[] =>
        planner.planes.flatMap((plane) => planner.peers(plane).map(({ publicIP }) => publicIP));
      expect(owners()).toEqual(['192.168.77.9']);
      for (const lease of [elder, younger, elder]) {
        put(lease);
        expect(owners()).toEqual(['192.168.77.2']);
      }
    },
  );

  it('a node that has no subnet for a while remembers who had it', async () => {
    const { planner, put, owner } = await bed('vxlan', [young]);
    planner.plan(FACTS, undefined, []);
    expect(planner.state()).toEqual([]);
    put(old);
    planner.plan(FACTS, SUBNETS, [old, young]);
    expect(owner()).toBe('192.168.77.3');
  });

  it('a change of an owner counts at once where nobody else claims the new thing', async () => {
    const { put, owner, routes } = await bed('vxlan', [
      at(2, 5, '02:00:00:00:00:02'),
      at(3, 9, '02:00:00:00:00:03'),
    ]);
    put(at(3, 9, MAC));
    expect(owner()).toBe('192.168.77.3');
    put(at(3, 9, MAC, '192.168.77.33'));
    expect([owner(), routes()]).toEqual(['192.168.77.33', '2 3']);
  });

  it('an owner whose lease is overwritten for a moment gets its things back', async () => {
    const { put, drop, owner, routes } = await bed('vxlan', [old, young]);
    put(at(2, 5, '02:00:00:00:00:02'));
    expect([owner(), routes()]).toEqual(['192.168.77.3', '2 3']);
    put(old);
    expect([owner(), routes()]).toEqual(['192.168.77.2', '2']);
    drop(old);
    put({ ...old, created: 20 });
    expect([owner(), routes()]).toEqual(['192.168.77.2', '2']);
  });

  it('a node that copies a lease does not cut the owner off that changes its address', async () => {
    const { put, owner, routes } = await bed('vxlan', [old]);
    put(at(3, 9, MAC, '192.168.77.2'));
    put(at(2, 5, MAC, '192.168.77.22'));
    expect([owner(), routes()]).toEqual(['192.168.77.22', '2']);
  });

  it('a lease that is left out lets others have the rest of its claims', async () => {
    const third = at(4, 12, '02:00:00:00:00:04', '192.168.77.3');
    const { put, drop, routes } = await bed('vxlan', [old, young, third]);
    expect(routes()).toBe('2 4');
    // It claims two things of two others, and comes in when both are gone.
    const both = { ...at(4, 13, MAC), key: '10.5.4.0-24&fd00:5:4::-64' };
    put(both);
    drop(young);
    drop(old);
    expect(routes()).toBe('4');
    drop(third);
    expect(routes()).toBe('4');
  });

  it('three leases that have each taken a thing of another one come to an end', async () => {
    const macs = ['02:00:00:00:00:b1', '02:00:00:00:00:b2', '02:00:00:00:00:b3'];
    const { put, routes } = await bed('vxlan', []);
    for (let round = 0; round < 30; round++) {
      const [n, shift] = [2 + (round % 3), Math.floor(round / 3)];
      put(at(n, n, macs[(n + shift) % 3] ?? MAC, `192.168.77.${2 + ((n + round) % 5)}`));
      put(at(2 + ((round + 1) % 3), 9, macs[(n + shift) % 3] ?? MAC, '192.168.77.9'));
    }
    expect(routes()).not.toBe('');
  });

  it('our own MAC is ours', async () => {
    const { planner } = await bed('vxlan', []);
    const [, mac = ''] =
      /link vxlan flannel.1 .*?(02:\S+|\S\S:\S+)/.exec(formatHostState(planner.state())) ?? [];
    const { routes, reasons } = await bed('vxlan', [at(3, 1, mac)]);
    expect(routes()).toBe('');
    expect(reasons()).toEqual([
      `10.5.3.0/24: this node has fdb ${mac} flannel.1 already: no route leads there`,
    ]);
  });

  it.each(['vxlan', 'host-gw', 'udp'])('two keys of one subnet are a conflict with %s', async (type) => {
    const data = (n: number) => ({ VNI: 1, VtepMAC: `02:00:00:00:00:0${n}` });
    const first = { ...peer('10.5.2.0/24', '192.168.77.2', type, data(2)), created: 5 };
    const second = {
      ...peer('10.5.2.0/24', '192.168.77.9', type, data(9)),
      key: '10.5.2.0-24&fd00:5:2::-64',
      created: 6,
    };
    const { planner, routes, reasons, drop } = await bed(type, [second, first]);
    const [plane] = planner.planes;
    const addresses = () => plane && planner.peers(plane).map(({ publicIP }) => publicIP);
    expect([routes(), addresses()]).toEqual(['2', ['192.168.77.2']]);
    expect(reasons()).toEqual([
      '10.5.2.0/24: the lease 10.5.2.0-24 has subnet 10.5.2.0/24 already: no route leads there',
    ]);
    drop(first);
    expect([routes(), addresses()]).toEqual(['2', ['192.168.77.9']]);
  });

  it('a newer lease does not take the packets for the address of a host', async () => {
    const network = { network: prefix('10.0.0.0/8'), subnetLength: 24 };
    const host = { ...hostGwPeer(2, '10.9.9.9'), created: 5 };
    const [over, at9] = [
      { ...peer('10.9.9.0/24', '192.168.77.9', 'host-gw'), created: 6 },
      { ...hostGwPeer(4, '10.5.3.9'), created: 8 },
    ];
    const { routes, reasons, drop } = await bed(
      'host-gw',
      [over, { ...hostGwPeer(3), created: 7 }, at9, host],
      network,
    );
    expect(routes()).toBe('2 3');
    expect(reasons()).toEqual([
      '10.9.9.0/24: the public address of the lease 10.5.2.0-24 is in the subnet 10.9.9.0/24: no route leads there',
      '10.5.4.0/24: its public address is in the subnet 10.5.3.0/24 of the lease 10.5.3.0-24: no route leads there',
    ]);
    drop(host);
    expect(routes()).toBe('3 9');
  });

  it('the oldest leases stay where there are more than a backend carries, and the next one comes in', async () => {
    const lease = (i: number): Lease => ({
      ...peer(`10.${i >> 8}.${i & 255}.0/24`, '192.168.77.9', 'udp'),
      created: 100_000 - i,
    });
    const network = { network: prefix('10.0.0.0/8'), subnetLength: 24 };
    const all = Array.from({ length: 8_194 }, (_, i) => lease(i + 2_000));
    const { planner, reasons, drop } = await bed('udp', all, network);
    const youngest = all.slice(0, 2).map(({ key }) => key.replace('-', '/'));
    const why = 'there are more peers than this backend carries: no route leads there';
    const [plane] = planner.planes;
    const count = () => [
      plane && planner.peers(plane).length,
      planner.state().filter(({ kind }) => kind === 'route').length,
    ];
    expect(count()).toEqual([8_192, 8_192]);
    expect(reasons().sort()).toEqual(youngest.map((subnet) => `${subnet}: ${why}`).sort());
    drop(lease(5_000));
    expect(reasons()).toEqual([`${youngest[0]}: ${why}`]);
    expect(count()).toEqual([8_192, 8_192]);
  });
});

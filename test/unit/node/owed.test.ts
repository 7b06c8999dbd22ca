// A lease that somebody writes over gets its things back, whoever took them meanwhile.
import { describe, expect, it } from 'vitest';
import type { Lease } from '../../../agent/model/lease.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { at, bed, FACTS, MAC, SUBNETS } from './contest-bed.ts';

const [old, young] = [at(2, 5, MAC), at(3, 9, MAC)];

/** The same lease with other facts. */
const but = (lease: Lease, attrs: Partial<Lease['attrs']>): Lease => ({
  ...lease,
  attrs: { ...lease.attrs, ...attrs },
});
const mac = (n: number): string => `02:00:00:00:01:${n.toString(16).padStart(2, '0')}`;

describe('a lease that somebody writes over', () => {
  const empty = but(old, { backendData: {} });
  const third = at(4, 7, mac(4));
  const sameSubnet = { ...at(2, 9, mac(9), '192.168.77.9'), key: '10.5.2.0-24&fd00:5:2::-64' };

  it.each([
    ['without an announcement', empty],
    ['with another backend', but(old, { backendType: 'udp' })],
    ['with another MAC', at(2, 5, mac(2))],
    ['with the MAC of another node', at(2, 5, mac(4))],
    ['with our address', but(old, { publicIP: { ipv4: '192.168.77.1' } })],
    ['without an address', but(old, { publicIP: {} })],
  ])('takes its things back from whoever came meanwhile: %s', async (_, overwritten) => {
    for (const rival of [young, sameSubnet]) {
      const { put, drop, list, owner, routes } = await bed('vxlan', [old, third]);
      put(overwritten);
      put(rival);
      list();
      put(old);
      expect([owner(), routes()]).toEqual(['192.168.77.2', '2 4']);
      put(overwritten);
      drop(rival);
      put({ ...rival, created: 30 });
      put(old);
      expect([owner(), routes()]).toEqual(['192.168.77.2', '2 4']);
    }
  });

  it('has lost them when its key goes', async () => {
    const { put, drop, list, owner } = await bed('vxlan', [old]);
    put(empty);
    drop(old);
    put(young);
    put({ ...old, created: 20 });
    list();
    expect(owner()).toBe('192.168.77.3');
  });

  it('has lost them when a listing lacks its key', async () => {
    const { planner, put, owner } = await bed('vxlan', [old]);
    put(but(old, { publicIP: {} }));
    planner.invalidate();
    planner.plan(FACTS, SUBNETS, []);
    put(young);
    put({ ...old, created: 20 });
    expect(owner()).toBe('192.168.77.3');
  });

  it('keeps its things against a younger one that had them meanwhile', async () => {
    const { put, owner, routes } = await bed('vxlan', [old]);
    put(empty);
    put(young);
    put(at(3, 9, mac(3)));
    put(old);
    put(young);
    expect([owner(), routes()]).toEqual(['192.168.77.2', '2']);
  });

  it('gets nothing that another one had first', async () => {
    const { put, owner, routes } = await bed('vxlan', [at(2, 5, mac(2)), young]);
    put(old);
    put(empty);
    put(old);
    expect([owner(), routes()]).toEqual(['192.168.77.3', '3']);
  });

  it('gets back what it had first, of a limited number of things', async () => {
    const { put, drop, routes, reasons } = await bed('vxlan', [at(2, 5, mac(0))]);
    for (let n = 1; n <= 20; n++) put(at(2, 5, mac(n)));
    // It had three things beside each MAC.
    const macs = LIMITS.owedThings - 3;
    for (const [n, expected] of [
      [0, '2'],
      [macs - 1, '2'],
      [macs, '3'],
      [19, '3'],
    ] as const) {
      put(empty);
      put(at(3, 9, mac(n)));
      put(at(2, 5, mac(n)));
      expect([n, routes()]).toEqual([n, expected]);
      drop(young);
    }
    put(empty);
    put(sameSubnet);
    put(at(2, 5, mac(30)));
    expect(reasons()).toEqual([
      '10.5.2.0/24: the lease 10.5.2.0-24 has subnet 10.5.2.0/24 already: no route leads there',
    ]);
  });
});

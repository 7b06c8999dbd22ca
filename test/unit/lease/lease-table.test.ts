import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { createLeaseTable, type LeaseTable, peersOf } from '../../../agent/lease/lease-table.ts';
import { formatPrefix } from '../../../agent/model/ip.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../../../agent/model/lease-store.ts';
import { hostGwPeer, peer, prefix } from '../../kernel/golden-states.ts';

const bad = (n: number, reason = 'broken'): MalformedEntry => ({
  key: `subnets/10.5.${n}.0-24`,
  subnet: prefix(`10.5.${n}.0/24`),
  reason,
});
const NO_LEASE: MalformedEntry = { key: 'subnets/x', subnet: undefined, reason: 'not a key' };

const snapshot = (leases: readonly Lease[], malformed: readonly MalformedEntry[] = []): StoreEvent => ({
  type: 'snapshot',
  config: '{}',
  leases,
  malformed,
  revision: 9,
});
const removed = (n: number): StoreEvent => ({
  type: 'lease-removed',
  subnet: prefix(`10.5.${n}.0/24`),
  revision: 10,
});

const subnets = (table: LeaseTable): string => table.leases.map(({ subnet }) => subnet.address).join(' ');

function tableWith(...events: readonly StoreEvent[]): LeaseTable {
  const table = createLeaseTable();
  for (const event of events) table.apply(event);
  return table;
}

describe('the lease table', () => {
  it('knows nothing before the first snapshot', () => {
    const table = createLeaseTable();
    expect([table.isComplete, table.config, table.leases, table.malformedCount]).toEqual([
      false,
      undefined,
      [],
      0,
    ]);
  });

  it('takes in a snapshot, and another one in its place', () => {
    const table = tableWith(snapshot([hostGwPeer(2), hostGwPeer(3)]));
    expect([table.isComplete, table.config, subnets(table)]).toEqual([true, '{}', '10.5.2.0 10.5.3.0']);
    expect(table.apply(snapshot([hostGwPeer(4)]))).toEqual({ leases: true, config: false, malformed: [] });
    expect(subnets(table)).toBe('10.5.4.0');
  });

  it('follows leases that come, change and go', () => {
    const table = tableWith(snapshot([hostGwPeer(2)]));
    expect(table.apply({ type: 'lease', lease: hostGwPeer(3) }).leases).toBe(true);
    expect(table.apply({ type: 'lease', lease: hostGwPeer(2, '192.168.77.22') }).leases).toBe(true);
    expect(table.leases.find(({ subnet }) => subnet.address === '10.5.2.0')?.attrs.publicIP).toBe(
      '192.168.77.22',
    );
    expect(table.apply(removed(2)).leases).toBe(true);
    expect(table.apply(removed(2)).leases).toBe(false);
    expect(subnets(table)).toBe('10.5.3.0');
  });

  it('tells of a configuration that changes, and of no other', () => {
    const table = tableWith(snapshot([]));
    expect(table.apply({ type: 'config', text: '{}' }).config).toBe(false);
    expect(table.apply({ type: 'config', text: '{"a":1}' }).config).toBe(true);
    expect(table.apply({ type: 'config', text: undefined }).config).toBe(true);
    expect(table.config).toBeUndefined();
  });

  it('is not changed by what says nothing of leases', () => {
    const table = tableWith(snapshot([hostGwPeer(2)]));
    for (const event of [
      { type: 'connected' },
      { type: 'disconnected', error: new TwillError('datastore', 'x') },
      { type: 'challenge', subnet: prefix('10.5.2.0/24'), by: { id: '', name: '' } },
    ] satisfies StoreEvent[]) {
      expect(table.apply(event)).toEqual({ leases: false, config: false, malformed: [] });
    }
    expect(subnets(table)).toBe('10.5.2.0');
  });
});

describe('a malformed entry', () => {
  it('takes no lease away that was known, neither by an event nor in a snapshot', () => {
    const table = tableWith(snapshot([hostGwPeer(2), hostGwPeer(3)]), { type: 'malformed', entry: bad(2) });
    expect(subnets(table)).toBe('10.5.2.0 10.5.3.0');
    table.apply(snapshot([hostGwPeer(3)], [bad(2), NO_LEASE]));
    expect(subnets(table)).toBe('10.5.3.0 10.5.2.0');
    expect(table.apply(removed(2)).leases).toBe(true);
    expect(subnets(table)).toBe('10.5.3.0');
  });

  it('makes no lease where none was known', () => {
    const table = tableWith(snapshot([], [bad(2), NO_LEASE]));
    expect(table.leases).toEqual([]);
    expect(table.malformedCount).toBe(2);
  });

  it('is news once, and again when it is malformed in another way', () => {
    const table = createLeaseTable();
    expect(table.apply(snapshot([], [bad(2), NO_LEASE])).malformed).toEqual([bad(2), NO_LEASE]);
    expect(table.apply(snapshot([], [bad(2), NO_LEASE])).malformed).toEqual([]);
    expect(table.apply({ type: 'malformed', entry: bad(2) }).malformed).toEqual([]);
    const other = bad(2, 'broken otherwise');
    expect(table.apply({ type: 'malformed', entry: other }).malformed).toEqual([other]);
    expect(table.malformedCount).toBe(2);
  });

  it('counts no more once it has been written anew, has gone, or is missing in a snapshot', () => {
    const table = tableWith(snapshot([], [bad(2), bad(3), NO_LEASE]));
    table.apply({ type: 'lease', lease: hostGwPeer(2) });
    expect(table.malformedCount).toBe(2);
    table.apply(removed(3));
    expect(table.malformedCount).toBe(1);
    expect(table.apply({ type: 'malformed', entry: bad(2) }).malformed).toEqual([bad(2)]);
    table.apply(snapshot([]));
    expect(table.malformedCount).toBe(0);
  });
});

describe('peersOf', () => {
  const peers = (...leases: readonly Lease[]): string[] =>
    peersOf(leases, prefix('10.5.0.0/16'), prefix('10.5.1.0/24'), '192.168.77.1').map(({ subnet }) =>
      formatPrefix(subnet),
    );

  it('are the others in the network, whatever their backend and the length of their subnet are', () => {
    expect(
      peers(
        hostGwPeer(2),
        peer('10.5.3.0/24', '192.168.77.3', 'vxlan'),
        peer('10.5.128.0/17', '192.168.77.4', 'udp'),
        peer('10.5.4.9/32', '192.168.77.5', 'udp'),
      ),
    ).toEqual(['10.5.2.0/24', '10.5.3.0/24', '10.5.128.0/17', '10.5.4.9/32']);
  });

  it.each([
    ['our own', '10.5.1.0/24', '192.168.77.1'],
    ['another one at our own address', '10.5.2.0/24', '192.168.77.1'],
    ['our subnet, claimed by another', '10.5.1.0/24', '192.168.77.9'],
    ['a part of our subnet', '10.5.1.128/25', '192.168.77.9'],
    ['one address of our subnet', '10.5.1.1/32', '192.168.77.9'],
    ['one around our subnet', '10.5.0.0/17', '192.168.77.9'],
    ['the whole network', '10.5.0.0/16', '192.168.77.9'],
    ['one around the network', '10.0.0.0/8', '192.168.77.9'],
    ['everything', '0.0.0.0/0', '192.168.77.9'],
    ['one beside the network', '10.6.2.0/24', '192.168.77.9'],
    ['the underlay', '192.168.77.0/24', '192.168.77.9'],
  ])('%s is none', (_, subnet, publicIP) => {
    expect(peers(peer(subnet, publicIP, 'host-gw'))).toEqual([]);
  });
});

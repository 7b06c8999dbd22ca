import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { createLeaseTable, type LeaseTable } from '../../../agent/lease/lease-table.ts';
import { LIMITS } from '../../../agent/lease/limits.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../../../agent/model/lease-source.ts';
import { hostGwPeer } from '../../support/golden-states.ts';

const bad = (n: number, reason = 'broken'): MalformedEntry => ({
  where: `subnets/10.5.${n}.0-24`,
  key: `10.5.${n}.0-24`,
  reason,
});
const NO_LEASE: MalformedEntry = { where: 'subnets/x', key: undefined, reason: 'not a key' };

const snapshot = (leases: readonly Lease[], malformed: readonly MalformedEntry[] = []): StoreEvent => ({
  type: 'snapshot',
  config: '{}',
  leases,
  malformed,
  revision: 9,
});
const removed = (n: number): StoreEvent => ({
  type: 'lease-removed',
  key: `10.5.${n}.0-24`,
  revision: 10,
});

const subnets = (table: LeaseTable): string =>
  table.leases.map(({ subnets: { ipv4: subnet } }) => subnet?.address).join(' ');

function tableWith(...events: readonly StoreEvent[]): LeaseTable {
  const table = createLeaseTable();
  for (const event of events) table.apply(event);
  return table;
}

describe('the lease table', () => {
  it('the lease table knows nothing before the first snapshot', () => {
    const table = createLeaseTable();
    expect([table.isComplete, table.config, table.leases, table.malformedCount]).toEqual([
      false,
      undefined,
      [],
      0,
    ]);
  });

  it('the lease table holds a snapshot, and the next one in its place', () => {
    const table = tableWith(snapshot([hostGwPeer(2), hostGwPeer(3)]));
    expect([table.isComplete, table.config, subnets(table)]).toEqual([true, '{}', '10.5.2.0 10.5.3.0']);
    expect(table.apply(snapshot([hostGwPeer(4)]))).toEqual({ leases: 'all', config: false, malformed: [] });
    expect(subnets(table)).toBe('10.5.4.0');
  });

  it('the lease table follows leases that come, change and go', () => {
    const table = tableWith(snapshot([hostGwPeer(2)]));
    expect(table.apply({ type: 'lease', lease: hostGwPeer(3) }).leases).toEqual(['10.5.3.0-24']);
    expect(table.apply({ type: 'lease', lease: hostGwPeer(2, '192.168.77.22') }).leases).toEqual([
      '10.5.2.0-24',
    ]);
    expect(table.leases.find(({ key }) => key === '10.5.2.0-24')?.attrs.publicIP).toEqual({
      ipv4: '192.168.77.22',
    });
    expect(table.apply(removed(2)).leases).toEqual(['10.5.2.0-24']);
    expect(table.apply(removed(2)).leases).toEqual([]);
    expect(subnets(table)).toBe('10.5.3.0');
  });

  it('the lease table reports a configuration only when it changes', () => {
    const table = tableWith(snapshot([]));
    expect(table.apply({ type: 'config', text: '{}' }).config).toBe(false);
    expect(table.apply({ type: 'config', text: '{"a":1}' }).config).toBe(true);
    expect(table.apply({ type: 'config', text: undefined }).config).toBe(true);
    expect(table.config).toBeUndefined();
  });

  it('the lease table ignores events that concern no lease', () => {
    const table = tableWith(snapshot([hostGwPeer(2)]));
    for (const event of [
      { type: 'connected' },
      { type: 'disconnected', error: new TwillError('datastore', 'x') },
    ] satisfies StoreEvent[]) {
      expect(table.apply(event)).toEqual({ leases: [], config: false, malformed: [] });
    }
    expect(subnets(table)).toBe('10.5.2.0');
  });
});

describe('a malformed entry', () => {
  it('a malformed entry removes no known lease, by an event or in a snapshot', () => {
    const table = tableWith(snapshot([hostGwPeer(2), hostGwPeer(3)]), { type: 'malformed', entry: bad(2) });
    expect(subnets(table)).toBe('10.5.2.0 10.5.3.0');
    table.apply(snapshot([hostGwPeer(3)], [bad(2), NO_LEASE]));
    expect(subnets(table)).toBe('10.5.3.0 10.5.2.0');
    expect(table.apply(removed(2)).leases).toEqual(['10.5.2.0-24']);
    expect(subnets(table)).toBe('10.5.3.0');
  });

  it('a malformed entry of an unknown key makes no lease', () => {
    const table = tableWith(snapshot([], [bad(2), NO_LEASE]));
    expect(table.leases).toEqual([]);
    expect(table.malformedCount).toBe(2);
  });

  it('a malformed entry is reported once, and again when its fault changes', () => {
    const table = createLeaseTable();
    expect(table.apply(snapshot([], [bad(2), NO_LEASE])).malformed).toEqual([bad(2), NO_LEASE]);
    expect(table.apply(snapshot([], [bad(2), NO_LEASE])).malformed).toEqual([]);
    expect(table.apply({ type: 'malformed', entry: bad(2) }).malformed).toEqual([]);
    const other = bad(2, 'broken otherwise');
    expect(table.apply({ type: 'malformed', entry: other }).malformed).toEqual([other]);
    expect(table.malformedCount).toBe(2);
  });

  it('a malformed entry counts no more when it is rewritten, deleted or missing in a snapshot', () => {
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

describe('a flood', () => {
  const flood = (count: number, created: number): Lease[] =>
    Array.from({ length: count }, (_, i) => ({ ...hostGwPeer(9), key: `flood-${created}-${i}`, created }));

  it('a flood of leases in a listing leaves the oldest ones known', () => {
    const peer = { ...hostGwPeer(2), created: 1 };
    const table = tableWith(snapshot([...flood(LIMITS.knownLeases, 50), peer]));
    expect([table.leaseCount, table.leftOutCount]).toEqual([LIMITS.knownLeases, 1]);
    expect(table.get(peer.key)).toBe(peer);
    expect(table.hasRoomAgain).toBe(false);
  });

  it('a flood of leases removes no known one, and a listing is worth it when there is room again', () => {
    const peer = hostGwPeer(2);
    const junk = flood(LIMITS.knownLeases - 1, 50);
    const table = tableWith(snapshot([peer, ...junk]));
    const late = hostGwPeer(3);
    expect(table.apply({ type: 'lease', lease: late })).toEqual({ leases: [], config: false, malformed: [] });
    expect([table.get(peer.key), table.get(late.key), table.leftOutCount]).toEqual([peer, undefined, 1]);
    const changed = hostGwPeer(2, '192.168.77.22');
    expect(table.apply({ type: 'lease', lease: changed }).leases).toEqual([peer.key]);
    for (const { key } of junk.slice(0, LIMITS.knownLeases / 10)) {
      expect(table.hasRoomAgain).toBe(false);
      table.apply({ type: 'lease-removed', key, revision: 60 });
    }
    expect(table.hasRoomAgain).toBe(true);
    table.apply(snapshot([changed, late]));
    expect([subnets(table), table.leftOutCount, table.hasRoomAgain]).toEqual(['10.5.2.0 10.5.3.0', 0, false]);
  });

  it('a flood of large leases is bounded by its memory', () => {
    const attrs = { ...hostGwPeer(9).attrs, extra: { junk: 'x'.repeat(LIMITS.knownLeaseBytes / 10) } };
    const table = tableWith(snapshot(flood(20, 50).map((lease) => ({ ...lease, attrs }))));
    expect([table.leaseCount, table.leftOutCount]).toEqual([9, 11]);
    table.apply(removed(9));
    for (let i = 0; i < 9; i++) table.apply({ type: 'lease-removed', key: `flood-50-${i}`, revision: 60 });
    expect(table.leaseCount).toBe(0);
    expect(table.hasRoomAgain).toBe(true);
  });

  it('a flood of malformed entries is counted, and some of it is kept', () => {
    const junk = Array.from({ length: LIMITS.knownMalformed + 500 }, (_, i) => ({
      ...NO_LEASE,
      where: `x/${i}`,
    }));
    const table = createLeaseTable();
    expect(table.apply(snapshot([], junk)).malformed).toHaveLength(LIMITS.knownMalformed);
    expect(table.malformedCount).toBe(LIMITS.knownMalformed + 500);
    expect(table.apply({ type: 'malformed', entry: { ...NO_LEASE, where: 'x/late' } }).malformed).toEqual([]);
    expect(table.malformedCount).toBe(LIMITS.knownMalformed + 501);
    for (const { where } of [...junk, { where: 'x/late' }]) table.apply({ type: 'malformed-removed', where });
    expect(table.malformedCount).toBe(0);
  });
});

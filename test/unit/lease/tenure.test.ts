// The states of a lease, by every event that can reach each of them.
import { describe, expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import {
  type Claiming,
  challengerIn,
  type Held,
  lastLease,
  onCheckAnswer,
  onClaimAnswer,
  onEvent,
  recheck,
  type Tenure,
  type Unheld,
  usable,
} from '../../../agent/lease/tenure.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import type { OwnAttrs } from '../../../agent/model/lease-holder.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import type { HeldLease } from '../../../agent/model/lease-store.ts';
import { lease, leaseAttrs } from '../../support/build.ts';

const NODE = { id: '00000000000000aa', mac: '02:00:00:00:00:01', name: 'h1' };
const SELF: OwnAttrs = { ...leaseAttrs('192.168.77.1'), node: NODE };
const H9 = { id: '0000000000000099', mac: '02:00:00:00:00:09', name: 'h9' };
const CLONE = { ...NODE, mac: H9.mac };
const KEY = '10.5.7.0-24';

const ownLease = (revision: number, session = 'own'): Lease =>
  lease('10.5.7.0/24', SELF, { revision, session });
const foreign = (revision: number, subnet = '10.5.7.0/24'): Lease =>
  lease(subnet, leaseAttrs('192.168.77.9', { node: H9 }), { revision, session: 'theirs' });
/** Our lease, with the question of another node. */
const asked = (revision: number): Lease => ({ ...ownLease(revision), asked: H9 });
/** Written by a clone of this machine, or with another card, in our session. */
const cloned = (revision: number, publicIP: string): Lease =>
  lease('10.5.7.0/24', leaseAttrs(publicIP, { node: CLONE }), { revision, session: 'own' });
/** Written by us at an address that we had before. */
const former = (revision: number): Lease =>
  lease('10.5.7.0/24', leaseAttrs('192.168.77.8', { node: NODE }), { revision, session: 'own' });

const renamed = (revision: number): Lease =>
  lease('10.5.7.0/24', { ...SELF, node: { ...NODE, name: 'dhcp-7' } }, { revision, session: 'own' });

const GRANTED: HeldLease = { lease: ownLease(10), ttlSeconds: 86_400 };
const HELD: Held = { kind: 'held', lease: GRANTED, written: SELF, check: undefined };
const NONE: Unheld = { kind: 'none' };
const LOST: Unheld = { kind: 'lost', last: GRANTED };
const TAKEN: Unheld = { kind: 'taken', last: GRANTED, by: foreign(11) };
const claiming = (before: Unheld, key = KEY): Claiming => ({
  kind: 'claiming',
  key,
  before,
  heard: undefined,
});

const written = (told: Lease): StoreEvent => ({ type: 'lease', lease: told });
const removed = (revision: number, key = KEY): StoreEvent => ({ type: 'lease-removed', key, revision });
const malformed = (key = KEY): StoreEvent => ({
  type: 'malformed',
  entry: { where: `/net/subnets/${key}`, key, reason: 'not valid JSON' },
});
const listing = (leases: readonly Lease[], revision = 20, bad: readonly string[] = []): StoreEvent => ({
  type: 'snapshot',
  config: '{}',
  leases,
  malformed: bad.map((key) => ({ where: `/net/subnets/${key}`, key, reason: 'not valid JSON' })),
  revision,
});

/** Events that say nothing of the lease 10.5.7.0/24. */
const UNRELATED: readonly StoreEvent[] = [
  { type: 'connected' },
  { type: 'disconnected', error: new TwillError('datastore', 'x') },
  { type: 'config', text: undefined },
  written(foreign(99, '10.5.8.0/24')),
  removed(99, '10.5.8.0-24'),
  removed(99, '10.5.7.0-25'),
  malformed('10.5.8.0-24'),
];

const checking: Tenure = { ...HELD, check: 'key' };
const challenged: Tenure = { ...HELD, check: 'challenge' };
const lost: Tenure = { kind: 'lost', last: GRANTED };
const takenBy = (by: Lease): Tenure => ({ kind: 'taken', last: GRANTED, by });

describe('a held lease', () => {
  it.each<[string, StoreEvent, Tenure]>([
    ['stays at the echo of our own write', written(ownLease(10)), HELD],
    ['stays at an older event of another node', written(foreign(9)), HELD],
    ['is checked where we wrote it later than we know', written(ownLease(11)), checking],
    ['is checked where it has a former address of ours', written(former(11)), checking],
    ['is checked where it has another host name', written(renamed(11)), checking],
    ['is challenged where another node asks in it', written(asked(11)), challenged],
    ['is challenged where a listing has a question in it', listing([asked(11)]), challenged],
    ['stays at a question from before our own write', written(asked(9)), HELD],
    ['is taken by a later lease of another node', written(foreign(11)), takenBy(foreign(11))],
    [
      'is taken by a clone elsewhere, also in our session',
      written(cloned(11, '192.168.77.9')),
      takenBy(cloned(11, '192.168.77.9')),
    ],
    [
      'is taken by a clone with our address, also in our session',
      written(cloned(11, '192.168.77.1')),
      takenBy(cloned(11, '192.168.77.1')),
    ],
    ['stays at an older deletion', removed(9), HELD],
    ['stays at a deletion before our own write', removed(10), HELD],
    ['is lost by a later deletion', removed(11), lost],
    ['is checked where its value is no lease', malformed(), checking],
    ['stays where a listing has it unchanged', listing([ownLease(10)]), HELD],
    ['is checked where a listing has another revision', listing([ownLease(9)]), checking],
    ['is checked where a listing has another session', listing([ownLease(10, 'new')]), checking],
    ['is checked where a listing has no such lease', listing([]), checking],
    ['is checked where a listing has it malformed', listing([], 20, [KEY]), checking],
    [
      'is checked where a listing from before our last write has our former card and address',
      listing([cloned(9, '192.168.77.8')]),
      checking,
    ],
    ['is taken where a listing has it as of another node', listing([foreign(2)]), takenBy(foreign(2))],
    [
      'is taken also by a lease with its revision and session, in a store that lost its data',
      listing([{ ...foreign(10), session: 'own' }]),
      takenBy({ ...foreign(10), session: 'own' }),
    ],
  ])('a held lease %s', (_, event, expected) => {
    expect(onEvent(HELD, event, SELF)).toEqual(expected);
  });

  it('a held lease stays ours where it still has our former card, and also as a reservation our former address', () => {
    const now: OwnAttrs = { ...leaseAttrs('192.168.77.2'), node: { ...NODE, mac: '02:00:00:00:00:02' } };
    expect(onEvent(HELD, listing([ownLease(12)]), now)).toEqual(checking);
    const reserved: Lease = { ...ownLease(10), session: undefined };
    const held: Held = { ...HELD, lease: { lease: reserved, ttlSeconds: undefined } };
    expect(onEvent(held, listing([{ ...reserved, revision: 12 }]), now)).toEqual({ ...held, check: 'key' });
    const others = lease('10.5.7.0/24', leaseAttrs('192.168.77.1'), { revision: 12, session: undefined });
    expect(onEvent(held, written(others), now)).toMatchObject({ kind: 'taken' });
  });

  it('a held lease tells who asks in it', () => {
    expect(challengerIn(written(asked(11)), GRANTED)).toEqual(H9);
    expect(challengerIn(listing([asked(11)]), GRANTED)).toEqual(H9);
    expect(challengerIn(written(ownLease(11)), GRANTED)).toBeUndefined();
    expect(challengerIn(written({ ...foreign(11, '10.5.8.0/24'), asked: H9 }), GRANTED)).toBeUndefined();
  });

  it('a held lease is checked anew by each event that demands it', () => {
    const first = onEvent(HELD, malformed(), SELF);
    const second = onEvent(first, malformed(), SELF);
    expect(second).toEqual(first);
    expect(second).not.toBe(first);
  });
});

describe('a lost lease', () => {
  it.each<[string, StoreEvent, Tenure]>([
    ['is taken by a lease of another node, however old', written(foreign(1)), takenBy(foreign(1))],
    ['is taken by a listing of another node’s lease', listing([foreign(3)]), takenBy(foreign(3))],
    ['stays lost where it is listed as ours', listing([ownLease(10)]), LOST],
    ['stays lost where it has a former address of ours', written(former(11)), LOST],
    ['stays lost where its value is no lease', malformed(), LOST],
    ['stays lost where it is deleted', removed(30), LOST],
    ['stays lost where a listing lacks it', listing([]), LOST],
  ])('a lost lease %s', (_, event, expected) => {
    expect(onEvent(LOST, event, SELF)).toEqual(expected);
  });
});

describe('a claim', () => {
  it.each<[string, StoreEvent, StoreEvent | undefined]>([
    ['a deletion', removed(11), removed(11)],
    ['a lease', written(foreign(11)), written(foreign(11))],
    ['a malformed value', malformed(), malformed()],
    ['a listing with a lease', listing([foreign(11)]), written(foreign(11))],
    ['a listing without it', listing([], 20), removed(20)],
  ])('a claim remembers %s of its key until it is answered', (_, event, heard) => {
    expect(onEvent(claiming(NONE), event, SELF)).toEqual({ ...claiming(NONE), heard });
  });

  it('a claim remembers the latest event only', () => {
    const after = [removed(11), written(foreign(12))].reduce<Tenure>(
      (now, event) => onEvent(now, event, SELF),
      claiming(NONE),
    );
    expect(after).toMatchObject({ heard: written(foreign(12)) });
  });

  it('a claim follows the lease that was held before it', () => {
    const after = onEvent(claiming(LOST, '10.5.8.0-24'), written(foreign(12)), SELF);
    expect(after).toMatchObject({ kind: 'claiming', before: takenBy(foreign(12)), heard: undefined });
  });

  it.each<[string, StoreEvent | undefined, Tenure]>([
    ['is held', undefined, HELD],
    ['is held where the event was older', removed(9), HELD],
    ['is lost where it was deleted meanwhile', removed(11), lost],
    ['is taken where another node wrote it meanwhile', written(foreign(12)), takenBy(foreign(12))],
    ['is checked where it was overwritten meanwhile', malformed(), checking],
  ])('a granted claim %s', (_, event, expected) => {
    const now = event === undefined ? claiming(NONE) : onEvent(claiming(NONE), event, SELF);
    expect(onClaimAnswer(now, GRANTED, SELF, SELF)).toEqual(expected);
  });

  it.each([NONE, LOST, TAKEN])('a refused claim restores the state before it: $kind', (before) => {
    expect(onClaimAnswer(claiming(before), undefined, SELF, SELF)).toBe(before);
  });
});

describe('the answer to a check', () => {
  const renewed: HeldLease = { ...GRANTED, ttlSeconds: 40_000 };

  it('the answer settles the check that was asked', () => {
    const asked: Held = { ...HELD, check: 'session' };
    expect(onCheckAnswer(asked, asked, renewed, SELF)).toEqual({ ...HELD, lease: renewed });
  });

  it('the answer settles no check that was demanded meanwhile', () => {
    const asked: Held = { ...HELD, check: 'session' };
    expect(onCheckAnswer(recheck(asked), asked, renewed, SELF)).toMatchObject({ check: 'session' });
    expect(onCheckAnswer(onEvent(asked, malformed(), SELF), asked, renewed, SELF)).toMatchObject({
      lease: renewed,
      check: 'key',
    });
  });

  it('the answer that the lease has ended loses the lease', () => {
    expect(onCheckAnswer(HELD, HELD, undefined, SELF)).toEqual(lost);
  });

  it.each([LOST, TAKEN])('the answer changes nothing when the lease is $kind meanwhile', (now) => {
    expect(onCheckAnswer(now, HELD, renewed, SELF)).toBe(now);
  });
});

describe('a demand to recheck', () => {
  it('a recheck asks for the session, and leaves a pending check of the key', () => {
    expect(recheck(HELD)).toEqual({ ...HELD, check: 'session' });
    expect(recheck({ ...HELD, check: 'key' })).toEqual({ ...HELD, check: 'key' });
  });

  it.each([NONE, LOST, TAKEN, claiming(LOST)])(
    'a recheck changes nothing while the lease is $kind',
    (now) => {
      expect(recheck(now)).toBe(now);
    },
  );
});

describe('every tenure', () => {
  const all: readonly Tenure[] = [NONE, HELD, LOST, TAKEN, claiming(NONE), claiming(LOST)];
  it.each(all)('a tenure stays the same object at events of other leases: $kind', (now) => {
    for (const event of UNRELATED) expect(onEvent(now, event, SELF)).toBe(now);
  });

  it.each<[string, Tenure, boolean, boolean]>([
    ['none', NONE, false, false],
    ['held', HELD, true, true],
    ['held, to be checked', checking, true, true],
    ['lost', LOST, true, true],
    ['taken', TAKEN, false, true],
    ['the first claim', claiming(NONE), false, false],
    ['a claim after a loss', claiming(LOST, '10.5.8.0-24'), true, true],
    ['a claim after another node took the subnet', claiming(TAKEN), false, true],
  ])('a tenure says whether its subnets may be used: %s', (_, now, isUsable, hasLast) => {
    expect(usable(now)).toBe(isUsable ? GRANTED.lease.subnets : undefined);
    expect(lastLease(now)).toBe(hasLast ? GRANTED : undefined);
  });
});

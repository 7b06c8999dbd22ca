import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/lease/limits.ts';
import { findVanished, isDoubtful } from '../../../agent/lease/vanished.ts';
import type { Lease } from '../../../agent/model/lease.ts';
import { hostGwPeer } from '../../support/golden-states.ts';

/** Leases of the nodes from `first` to `last`, each written at a revision of its own. */
const nodes = (first: number, last: number): Lease[] =>
  Array.from({ length: last - first + 1 }, (_, i) => ({
    ...hostGwPeer(first + i),
    revision: 100 + first + i,
    session: `s${first + i}`,
  }));
const listing = (leases: readonly Lease[], more: object = {}) => ({
  type: 'snapshot' as const,
  config: '{}',
  leases,
  malformed: [],
  revision: 1_000,
  ...more,
});
const doubts = (known: readonly Lease[], snapshot: ReturnType<typeof listing>): boolean =>
  isDoubtful(known, findVanished(known, snapshot), snapshot);

describe('a vanished lease', () => {
  it('a vanished lease is a known one that is listed neither as a lease nor as malformed', () => {
    const bad = { where: 'x', key: '10.5.3.0-24', reason: 'broken' };
    const snapshot = listing(nodes(4, 9), { malformed: [bad, { ...bad, key: undefined }] });
    expect(findVanished(nodes(1, 5), snapshot).map(({ key }) => key)).toEqual(['10.5.1.0-24', '10.5.2.0-24']);
  });
});

describe('a listing', () => {
  const few = LIMITS.vanishedLeases;
  it.each([
    ['with all that was known, and more', nodes(1, 10), listing(nodes(1, 20)), false],
    ['without some', nodes(1, 20), listing(nodes(few + 2, 20)), false],
    ['without half', nodes(1, 20), listing(nodes(11, 20)), false],
    ['without more than half', nodes(1, 20), listing(nodes(12, 20)), true],
    ['without most of very few', nodes(1, few), listing(nodes(few, few)), false],
    ['of nothing, where nothing was known', [], listing([]), false],
    ['of nothing', nodes(1, 1), listing([]), true],
    ['without a configuration and one lease', nodes(1, 9), listing(nodes(2, 9), { config: undefined }), true],
    ['without a configuration alone', nodes(1, 9), listing(nodes(1, 9), { config: undefined }), false],
    ['of an earlier revision, without one lease', nodes(1, 9), listing(nodes(1, 8), { revision: 108 }), true],
    ['of an earlier revision alone', nodes(1, 9), listing(nodes(1, 9), { revision: 50 }), false],
    [
      'of rewritten leases without one lease',
      nodes(1, 4),
      listing(nodes(1, 3).map((lease) => ({ ...lease, session: 'another' }))),
      true,
    ],
  ])('a listing %s is doubted as expected', (_, known, snapshot, expected) => {
    expect(doubts(known, snapshot)).toBe(expected);
  });
});

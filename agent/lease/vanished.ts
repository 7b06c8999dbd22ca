// Whether a listing is to be believed that no longer has leases that were known. A datastore that was started on empty
// data, restored from an old copy or read in part looks like one that most nodes have left at once. Pure.

import type { Lease } from '../model/lease.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import { LIMITS } from './limits.ts';

type Snapshot = Extract<StoreEvent, { type: 'snapshot' }>;

/** The known leases that a listing has no more. Those whose entries are malformed by now are there. */
export function findVanished(known: readonly Lease[], { leases, malformed }: Snapshot): Lease[] {
  const there = new Set([...leases, ...malformed].map(({ key }) => key));
  return known.filter(({ key }) => !there.has(key));
}

/**
 * Whether `vanished`, of the `known` ones, are too much to be believed at once: there is no network configuration
 * either, they are most of those that were known, the store has gone back behind what was known, or nothing at all
 * is as it was, which is another store.
 */
export function isDoubtful(known: readonly Lease[], vanished: readonly Lease[], snapshot: Snapshot): boolean {
  if (vanished.length === 0) return false;
  if (snapshot.config === undefined) return true;
  if (vanished.length >= LIMITS.vanishedLeases && vanished.length * 2 > known.length) return true;
  if (known.some(({ revision }) => revision > snapshot.revision)) return true;
  const before = new Map(known.map((lease) => [lease.key, lease]));
  return !snapshot.leases.some(({ key, revision, session }) => {
    const same = before.get(key);
    return same?.revision === revision && same.session === session;
  });
}

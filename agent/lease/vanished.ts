// Decides whether to believe a listing that lacks known leases. A datastore that was started on empty data, restored
// from an old copy or read in part looks like one that most nodes have left at once. Pure.
import type { Lease } from '../model/lease.ts';
import type { StoreEvent } from '../model/lease-source.ts';
import { LIMITS } from './limits.ts';

type Snapshot = Extract<StoreEvent, { type: 'snapshot' }>;

/** The known leases that a listing lacks. A malformed entry counts as its lease. */
export function findVanished(known: readonly Lease[], { leases, malformed }: Snapshot): Lease[] {
  const there = new Set([...leases, ...malformed].map(({ key }) => key));
  return known.filter(({ key }) => !there.has(key));
}

/**
 * Whether a second listing has to confirm that `vanished`, of the `known` ones, are gone. It has to where
 *
 * - the network configuration is gone too,
 * - most of the known leases are gone,
 * - the store has an older revision than a known lease, or
 * - no lease is as it was: it is another store.
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

// The time of a lease's next renewal.
import type { HeldLease } from '../model/lease-store.ts';
import { LEASE_TTL_SECONDS } from '../model/limits.ts';

/**
 * Milliseconds until a lease is renewed: then `marginMinutes` of it are left.
 *
 * A reservation does not expire, but is read once in the time to live of a lease. A lease with a longer time to live
 * than ours is renewed as often as ours.
 */
export function renewAfterMs({ ttlSeconds }: HeldLease, marginMinutes: number): number {
  const ttlMs = Math.min(ttlSeconds ?? LEASE_TTL_SECONDS, LEASE_TTL_SECONDS) * 1000;
  return Math.max(ttlMs - marginMinutes * 60_000, ttlMs / 10);
}

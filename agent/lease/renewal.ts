// When a lease is renewed.

import type { HeldLease } from '../model/lease-store.ts';
import { LEASE_TTL_SECONDS } from '../model/limits.ts';

/**
 * Milliseconds until a lease is renewed: when `marginMinutes` of it are left.
 *
 * A reservation does not expire; it is looked at from time to time all the same, and so is a lease that somebody gave a
 * longer time than ours have.
 */
export function renewAfterMs({ ttlSeconds }: HeldLease, marginMinutes: number): number {
  const ttlMs = Math.min(ttlSeconds ?? LEASE_TTL_SECONDS, LEASE_TTL_SECONDS) * 1000;
  return Math.max(ttlMs - marginMinutes * 60_000, ttlMs / 10);
}

// When a lease is renewed.
import { LIMITS } from '../limits.ts';
import type { HeldLease } from '../model/lease-store.ts';

/**
 * Milliseconds until a lease is renewed: when `marginMinutes` of it are left.
 *
 * A reservation does not expire; it is looked at from time to time all the same, and so is a lease that somebody gave a
 * longer time than ours have.
 */
export function renewAfterMs({ ttlSeconds }: HeldLease, marginMinutes: number): number {
  const ttlMs = Math.min(ttlSeconds ?? LIMITS.leaseTtlSeconds, LIMITS.leaseTtlSeconds) * 1000;
  return Math.max(ttlMs - marginMinutes * 60_000, ttlMs / 10);
}

// Limits that more than one room keeps. All others stand in the `limits.ts` of the room that uses them.
import type { Backoff } from '../base/retry.ts';

/** Time to live of a lease, in seconds; flannel's. */
export const LEASE_TTL_SECONDS = 86_400;

/**
 * The holder of a lease has this long to show that it is alive, in milliseconds. Challenges are rare, and a slow
 * machine answers late.
 */
export const CHALLENGE_WAIT_MS = 10_000;

/** Pauses between attempts to reach the datastore. */
export const DATASTORE_BACKOFF: Backoff = { firstMs: 100, maxMs: 5_000 };

/** Largest network configuration, in bytes. flannel's has a few hundred. */
export const NETWORK_CONFIG_BYTES = 65_536;

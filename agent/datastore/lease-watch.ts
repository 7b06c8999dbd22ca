// Everything that happens below a network's prefix, as long as the agent runs: one listing, then one watch that is
// taken up where it broke. Only lost history costs another listing.
//
//     list ──► watch ──(connection lost)──► back off ──► is it the same store? ──► watch from the revision last seen
//       ▲        └───────(history gone)───────┐               │
//       └─────────────────────────────────────┴───────no──────┘
//
// A store that lost its data counts its revisions anew, and may have come further than before when we are back. A
// witness tells: the lease that was written last as far as we know, whose session no other store has. Its word, like a
// listing, is about the store that answered: where we stood still before the watch began, it may be about another one.
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import { backoffMs } from '../base/retry.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import { HistoryLost, type Kv, type KvEntry, type KvListing } from '../model/kv.ts';
import type { Lease } from '../model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-store.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { isLease, type LeaseKeys } from './lease-keys.ts';
import { LIMITS } from './limits.ts';

/** Watches until `signal` is aborted; failures of the store are events and never end it. */
export async function* watchLeases(
  kv: Kv,
  keys: LeaseKeys,
  clock: Clock,
  random: () => number,
  signal: AbortSignal,
): AsyncGenerator<StoreEvent> {
  let revision: number | undefined;
  let witness: KvEntry | undefined;
  let connected = true;
  let failures = 0;
  let losses = 0;
  const yieldTurn = createYieldTurn(clock);
  while (!signal.aborted) {
    let standsSinceMs: number | undefined;
    try {
      let askedMs = clock.bootMs();
      if (!connected && !(await isThere(kv, witness, signal))) revision = undefined;
      if (revision === undefined) {
        askedMs = clock.bootMs();
        const listing = await kv.list(keys.all, signal);
        if (!connected) yield { type: 'connected' };
        connected = true;
        yield* snapshot(listing, keys, yieldTurn);
        revision = listing.revision;
        witness = listing.entries
          .filter((entry) => isWitness(entry, keys))
          .toSorted((a, b) => b.revision - a.revision)[0];
      }
      for await (const batch of kv.watch(keys.all, revision + 1, signal)) {
        if (standsSinceMs === undefined && clock.bootMs() - askedMs > LIMITS.datastoreHandoverMs)
          throw new HistoryLost('the watch began long after its revision was known');
        standsSinceMs ??= clock.monotonicMs();
        if (!connected) yield { type: 'connected' };
        connected = true;
        for (const event of batch) {
          await yieldTurn();
          const meaning = event.type === 'progress' ? undefined : keys.readEvent(event);
          if (meaning !== undefined) yield meaning;
          if (event.type === 'put' && isWitness(event.entry, keys)) witness = event.entry;
          if (event.type === 'delete' && event.key === witness?.key) witness = undefined;
          revision = Math.max(revision, event.type === 'put' ? event.entry.revision : event.revision);
        }
      }
      if (signal.aborted) return;
      throw new Error('the watch ended');
    } catch (error) {
      if (signal.aborted) return;
      const stable =
        standsSinceMs !== undefined && clock.monotonicMs() - standsSinceMs >= LIMITS.datastoreStableMs;
      failures = stable ? 1 : failures + 1;
      if (stable) losses = 0;
      if (error instanceof HistoryLost) {
        revision = undefined;
        losses++;
        // However long the datastore was away: until it is listed, what we know is old.
        if (losses === 1) continue;
      }
      connected = false;
      yield { type: 'disconnected', error: asTwillError(error, 'datastore', 'cannot watch the datastore') };
      await clock.sleep(backoffMs(DATASTORE_BACKOFF, failures, random), signal).catch(() => undefined);
    }
  }
}

function isWitness({ key, session }: KvEntry, keys: LeaseKeys): boolean {
  return session !== undefined && key.startsWith(keys.leases);
}

async function isThere(kv: Kv, witness: KvEntry | undefined, signal: AbortSignal): Promise<boolean> {
  if (witness === undefined) return false;
  const entry = await kv.get(witness.key, signal);
  return entry?.revision === witness.revision && entry.session === witness.session;
}

async function* snapshot(
  listing: KvListing,
  keys: LeaseKeys,
  yieldTurn: () => Promise<void> | undefined,
): AsyncGenerator<StoreEvent> {
  const leases: Lease[] = [];
  const malformed: MalformedEntry[] = [];
  for (const entry of listing.entries) {
    await yieldTurn();
    const found = keys.readLease(entry);
    if (found === undefined) continue;
    if (isLease(found)) leases.push(found);
    else malformed.push(found);
  }
  const config = listing.entries.find(({ key }) => key === keys.config)?.value;
  yield { type: 'snapshot', config, leases, malformed, revision: listing.revision };
  for (const entry of listing.entries) {
    const challenge = keys.readChallenge(entry);
    if (challenge !== undefined) yield challenge;
  }
}

// Watches all keys below a network's prefix for as long as the agent runs: one listing, then one watch, which is
// resumed after a lost connection. Only lost history costs another listing.
//
//     list ──► watch ──(connection lost)──► back off ──► is it the same store? ──► watch from the revision last seen
//       ▲        └───────(history gone)───────┐               │
//       └─────────────────────────────────────┴───────no──────┘
//
// A store that lost its data restarts its revisions, and may have passed our revision when we reconnect. To notice such
// a replaced store we remember one entry, the newest lease (`witness`). If its key still has that revision and session,
// it is the same store. Check and watch are two requests: if the process was suspended between them, we list again.
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import { backoffMs } from '../base/retry.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import { HistoryLost, type Kv, type KvEntry, type KvListing } from '../model/kv.ts';
import type { Lease } from '../model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { isLease, type LeaseKeys } from './lease-keys.ts';
import { LIMITS } from './limits.ts';

/** Watches until `signal` is aborted. Failures of the store are events and do not end it. */
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
    let watchingSinceMs: number | undefined;
    try {
      let askedMs = clock.bootMs();
      if (!connected && !(await isUnchanged(kv, witness, signal))) revision = undefined;
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
        if (watchingSinceMs === undefined && clock.bootMs() - askedMs > LIMITS.datastoreHandoverMs)
          throw new HistoryLost('the watch began too long after its revision was read');
        watchingSinceMs ??= clock.monotonicMs();
        if (!connected) yield { type: 'connected' };
        connected = true;
        for (const event of batch) {
          await yieldTurn();
          const storeEvent = event.type === 'progress' ? undefined : keys.readEvent(event);
          if (storeEvent !== undefined) yield storeEvent;
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
        watchingSinceMs !== undefined && clock.monotonicMs() - watchingSinceMs >= LIMITS.datastoreStableMs;
      failures = stable ? 1 : failures + 1;
      if (stable) losses = 0;
      if (error instanceof HistoryLost) {
        revision = undefined;
        losses++;
        // Our leases are out of date until the store is listed, so the first listing does not wait for the back-off.
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

async function isUnchanged(kv: Kv, witness: KvEntry | undefined, signal: AbortSignal): Promise<boolean> {
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
}

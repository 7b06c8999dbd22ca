// Watches the configuration and the leases of a network for as long as the agent runs: one listing, then one watch,
// which is resumed after a lost connection. Only lost history costs another listing.
//
//     list ──► watch ──(connection lost)──► back off ──► is it the same store? ──► watch from the revision last seen
//       ▲        └───────(history gone)───────┐               │
//       └─────────────────────────────────────┴───────no──────┘
//
// A store that lost its data restarts its revisions, and may have passed our revision when we reconnect. To notice such
// a replaced store we remember one entry, the newest lease (`witness`). If its key still has that revision and session,
// it is the same store. Check and watch are two requests: if the process was suspended between them, we list again.
//
// Changes of the leases may overtake changes of the configuration. The revision last seen is that of the leases, and
// the check reads the configuration again.
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import { backoffMs } from '../base/retry.ts';
import { createYieldTurn } from '../base/yield-turn.ts';
import { HistoryLost, type Kv, type KvEntry, type KvListing, Reconnecting } from '../model/kv.ts';
import type { Lease } from '../model/lease.ts';
import type { MalformedEntry, StoreEvent } from '../model/lease-source.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { configTextOf, isLease, type LeaseKeys } from './lease-keys.ts';
import { LIMITS } from './limits.ts';
import { watchChecked } from './watch-check.ts';

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
  /** Their number in the last listing. */
  let leases = 0;
  /** The text of the configuration, and the revision up to which that is known. */
  let config: { readonly text: string | undefined; readonly revision: number } | undefined;
  let connected = true;
  let failures = 0;
  let losses = 0;
  const yieldTurn = createYieldTurn(clock);
  while (!signal.aborted) {
    let watchingSinceMs: number | undefined;
    try {
      let askedMs = clock.bootMs();
      const check = connected ? undefined : await readAgain(kv, keys, witness, signal);
      if (!connected && check === undefined) revision = undefined;
      if (check !== undefined) {
        const text = configIn(check, keys);
        if (text !== config?.text) yield { type: 'config', text };
        config = { text, revision: check.revision };
      }
      if (revision === undefined) {
        askedMs = clock.bootMs();
        const listing = await kv.list(keys.watched, signal);
        if (!connected) yield { type: 'connected' };
        connected = true;
        yield* snapshot(listing, keys, yieldTurn);
        revision = listing.revision;
        config = { text: configIn(listing, keys), revision };
        leases = listing.entries.length;
        witness = newestWitness(listing, keys);
      }
      // A large store is listed in many pages.
      const handoverMs = LIMITS.datastoreHandoverMs * (1 + leases / LIMITS.pageKeys);
      const open = (until: AbortSignal) => kv.watch(keys.watched, (revision ?? 0) + 1, until);
      const isTold = async (until: AbortSignal): Promise<boolean> =>
        witness === undefined
          ? (await kv.list(keys.config, until)).revision >= (revision ?? 0)
          : (await readAgain(kv, keys, witness, until)) !== undefined;
      for await (const batch of watchChecked(open, { clock, leases, isTold }, signal)) {
        if (watchingSinceMs === undefined && clock.bootMs() - askedMs > handoverMs)
          throw new HistoryLost('the watch began too long after its revision was read');
        watchingSinceMs ??= clock.monotonicMs();
        if (!connected) yield { type: 'connected' };
        connected = true;
        for (const event of batch) {
          await yieldTurn();
          if (event.type === 'progress') {
            revision = Math.max(revision, event.revision);
            continue;
          }
          const changed = event.type === 'put' ? event.entry : event;
          if (changed.key === keys.config) {
            if (config !== undefined && changed.revision <= config.revision) continue;
            config = {
              text: event.type === 'put' ? configTextOf(event.entry) : undefined,
              revision: changed.revision,
            };
          }
          const storeEvent = keys.readEvent(event);
          if (storeEvent !== undefined) yield storeEvent;
          if (event.type === 'put' && isWitness(event.entry, keys)) witness = event.entry;
          if (event.type === 'delete' && event.key === witness?.key) witness = undefined;
          if (changed.key.startsWith(keys.leases)) revision = Math.max(revision, changed.revision);
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
      // The connection was ours to close. A fault is news when the next one fails.
      if (error instanceof Reconnecting) continue;
      yield { type: 'disconnected', error: asTwillError(error, 'datastore', 'cannot watch the datastore') };
      await clock.sleep(backoffMs(DATASTORE_BACKOFF, failures, random), signal).catch(() => undefined);
    }
  }
}

function newestWitness({ entries }: KvListing, keys: LeaseKeys): KvEntry | undefined {
  let newest: KvEntry | undefined;
  for (const entry of entries)
    if (isWitness(entry, keys) && entry.revision > (newest?.revision ?? 0)) newest = entry;
  return newest;
}

function isWitness({ key, session }: KvEntry, keys: LeaseKeys): boolean {
  return session !== undefined && key.startsWith(keys.leases);
}

/** The configuration and the witness as they are now; undefined: the store is not the one that was listed. */
async function readAgain(
  kv: Kv,
  keys: LeaseKeys,
  witness: KvEntry | undefined,
  signal: AbortSignal,
): Promise<KvListing | undefined> {
  if (witness === undefined) return undefined;
  const listing = await kv.list([keys.config, witness.key], signal);
  const entry = listing.entries.find(({ key }) => key === witness.key);
  return entry?.revision === witness.revision && entry.session === witness.session ? listing : undefined;
}

function configIn({ entries }: KvListing, keys: LeaseKeys): string | undefined {
  const entry = entries.find(({ key }) => key === keys.config);
  return entry && configTextOf(entry);
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
  yield { type: 'snapshot', config: configIn(listing, keys), leases, malformed, revision: listing.revision };
}

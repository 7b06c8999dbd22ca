// Asks the holder of a lease for a sign of life: we write a key, and a holder that runs deletes it. The key has a
// session of its own, so that the key ends where the asking node dies.
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import { HistoryLost, type Kv, type KvEntry } from '../model/kv.ts';
import type { Lease, NodeIdentity } from '../model/lease.ts';
import { formatChallenge, type LeaseKeys } from './lease-keys.ts';

// A key that ended by itself before we stop waiting would look like an answer.
const SPARE_SECONDS = 5;

/** True: the holder answered within `waitMs`. Fails as `datastore`. */
export async function askHolder(
  kv: Kv,
  keys: LeaseKeys,
  clock: Clock,
  { lease, by, waitMs }: { readonly lease: Lease; readonly by: NodeIdentity; readonly waitMs: number },
  signal?: AbortSignal,
): Promise<boolean> {
  const session = await kv.openSession(Math.ceil(waitMs / 1_000) + SPARE_SECONDS, signal);
  try {
    // Named after the session: two nodes that ask about one lease must not see each other's keys end.
    const key = keys.challenges(lease.key) + session;
    const entry = await kv.create(key, formatChallenge(by), session, signal);
    if (entry === undefined) throw new TwillError('datastore', `cannot write ${key}: its session has ended`);
    return await isDeleted(kv, clock, entry, waitMs, signal);
  } finally {
    await kv.closeSession(session).catch(() => undefined);
  }
}

async function isDeleted(
  kv: Kv,
  clock: Clock,
  { key, revision }: KvEntry,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const done = new AbortController();
  const wake = (): void => done.abort();
  signal?.addEventListener('abort', wake, { once: true });
  const waited = clock.sleep(waitMs, done.signal).then(wake, wake);
  try {
    for await (const batch of kv.watch(key, revision + 1, done.signal)) {
      if (batch.some((event) => event.type === 'delete' && event.key === key)) return true;
    }
  } catch (error) {
    if (!(error instanceof HistoryLost)) throw error;
    // The watch cannot tell of the answer any more. The holder still has its time, and the key is read in the end.
    await waited;
  } finally {
    wake();
    signal?.removeEventListener('abort', wake);
  }
  signal?.throwIfAborted();
  return (await kv.get(key, signal)) === undefined;
}

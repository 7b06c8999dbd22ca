// Asks the holder of a lease for a sign of life. The challenge is a field of the lease itself, so that it needs no
// right that a holder does not need. A holder that runs hears of the write and writes its lease without the field; one
// that starts does so when it takes up its lease. The field of a node that dies while it asks stays until then, and
// harms nobody: no node believes a challenge that it has not written and watched.
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../base/clock.ts';
import { HistoryLost, type Kv, type KvEntry } from '../model/kv.ts';
import { formatLeaseValue, type Lease, type NodeIdentity } from '../model/lease.ts';
import type { ChallengeAnswer } from '../model/lease-store.ts';
import { isSameNode } from '../model/ownership.ts';
import { isLease, type LeaseKeys } from './lease-keys.ts';
import { LIMITS } from './limits.ts';

export interface Challenge {
  readonly lease: Lease;
  readonly by: NodeIdentity;
  readonly waitMs: number;
}

const ALIVE: ChallengeAnswer = { kind: 'alive' };
const ELSEWHERE: ChallengeAnswer = { kind: 'elsewhere' };
const CHANGED: ChallengeAnswer = { kind: 'changed' };

/** The holder's answer within `waitMs`. Fails as `datastore`: then the holder may have been unable to answer, too. */
export async function askHolder(
  kv: Kv,
  keys: LeaseKeys,
  clock: Clock,
  { lease, by, waitMs }: Challenge,
  signal?: AbortSignal,
): Promise<ChallengeAnswer> {
  const key = keys.lease(lease.key);
  // Another node may ask at the same time: each writes its own challenge, and the holder answers all by one write.
  for (let attempt = 0; attempt < LIMITS.leaseAttempts; attempt++) {
    const entry = await kv.get(key, signal);
    const now = entry && keys.readLease(entry);
    if (entry === undefined || now === undefined || !isUnanswered(now, lease)) return CHANGED;
    const written = await kv.update(entry, formatLeaseValue(lease.attrs, by), signal);
    if (written !== undefined)
      return awaitAnswer({ kv, keys, clock }, { lease, by, waitMs }, written, signal);
  }
  return CHANGED;
}

type Found = ReturnType<LeaseKeys['readLease']>;

/** Whether an entry is a lease as it was before the challenge. */
function isUnanswered(found: Found, { attrs, session }: Lease): found is Lease {
  if (found === undefined || !isLease(found)) return false;
  return found.session === session && isDeepStrictEqual(found.attrs, attrs);
}

/** The answer that an entry is; undefined: none, our challenge or a later one of another node stands. */
function readAnswer(found: Found, { lease, by }: Challenge): ChallengeAnswer | undefined {
  const holder = lease.attrs.node;
  if (isUnanswered(found, lease) && found.asked !== undefined) {
    // A holder that asks about its own lease has come back at another address, and will write it so.
    return isSameNode(found.asked, holder) && !isSameNode(found.asked, by) ? ELSEWHERE : undefined;
  }
  if (found === undefined || !isLease(found) || !isSameNode(found.attrs.node, holder)) return CHANGED;
  return found.attrs.publicIP.ipv4 === lease.attrs.publicIP.ipv4 ? ALIVE : ELSEWHERE;
}

async function awaitAnswer(
  { kv, keys, clock }: { readonly kv: Kv; readonly keys: LeaseKeys; readonly clock: Clock },
  challenge: Challenge,
  { key, revision }: KvEntry,
  signal: AbortSignal | undefined,
): Promise<ChallengeAnswer> {
  /** The latest write without an answer. */
  let standing = revision;
  const done = new AbortController();
  const wake = (): void => done.abort();
  signal?.addEventListener('abort', wake, { once: true });
  const waited = clock.sleep(challenge.waitMs, done.signal).then(wake, wake);
  try {
    for await (const batch of kv.watch(key, standing + 1, done.signal)) {
      for (const event of batch) {
        if (event.type === 'delete' && event.key === key) return CHANGED;
        if (event.type !== 'put' || event.entry.key !== key) continue;
        const heard = readAnswer(keys.readLease(event.entry), challenge);
        if (heard !== undefined) return heard;
        standing = event.entry.revision;
      }
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
  const entry = await kv.get(key, signal);
  const found = entry && keys.readLease(entry);
  const heard = readAnswer(found, challenge);
  if (heard !== undefined) return heard;
  // A challenge that we have not heard of may follow an answer that we have not heard of.
  return entry?.revision === standing && found !== undefined && isLease(found)
    ? { kind: 'silent', lease: found }
    : CHANGED;
}

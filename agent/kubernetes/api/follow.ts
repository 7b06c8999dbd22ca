// Knows the objects of a resource for as long as it runs: one list, then one watch after the other. Only lost history
// costs another list.
//
//     list ──► watch ──(broken)──► back off ──► has the store reached our version? ──► watch from there
//       ▲        └──(history gone, or refused)──┐                │
//       └───────────────────────────────────────┴───────no───────┘
//
// A store that was restored from a copy has an older version than ours. Its servers take a watch from ours all the
// same, and are silent until the store has reached it.
import type { Bell } from '../../base/bell.ts';
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import { createYieldTurn } from '../../base/yield-turn.ts';
import { ApiError } from './api-error.ts';
import type { ApiClient, Reader } from './client.ts';
import { LIMITS } from './limits.ts';
import type { ApiList } from './list.ts';
import { pauseMs } from './persist.ts';
import type { Resource } from './resource.ts';
import type { WatchEvent } from './watch.ts';

export type FollowEvent<T> =
  /** All objects. The first event but for `disconnected` is one; another one follows whenever history was lost. */
  | ({ readonly type: 'listed' } & ApiList<T>)
  | Exclude<WatchEvent<T>, { type: 'progress' }>
  /** The API cannot be reached, or refuses us. Repeated at each failed attempt. */
  | { readonly type: 'disconnected'; readonly error: ApiError }
  /** It answers again. */
  | { readonly type: 'connected' };

export interface Following<T> {
  readonly client: ApiClient;
  readonly resource: Resource;
  readonly read: Reader<T>;
  readonly clock: Clock;
  readonly random: Random;
  /** Rung: the next attempt does not wait, because the host's network has changed. */
  readonly hurry: Bell;
}

/** Follows a resource until `signal` is aborted. Failures of the server are events and do not end it. */
export async function* follow<T>(
  following: Following<T>,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent<T>> {
  const { client, resource, read, clock, random, hurry } = following;
  const yieldTurn = createYieldTurn(clock);
  /** The last version seen; undefined: the objects have to be listed. */
  let version: string | undefined;
  let isConnected = true;
  let failures = 0;
  /** Whether the last watch broke, so that another store may answer now. */
  let isInDoubt = false;
  while (!signal.aborted) {
    let sinceMs: number | undefined;
    let ended: unknown;
    try {
      if (isInDoubt && version !== undefined && isBefore(await client.version(resource, signal), version))
        version = undefined;
      isInDoubt = false;
      if (version === undefined) {
        const list = await client.list(resource, read, signal);
        if (!isConnected) yield { type: 'connected' };
        isConnected = true;
        yield { type: 'listed', ...list };
        version = list.resourceVersion;
      }
      const events = await client.watch(resource, version, read, signal);
      sinceMs = clock.monotonicMs();
      if (!isConnected) yield { type: 'connected' };
      isConnected = true;
      for await (const event of events) {
        await yieldTurn();
        version = event.resourceVersion;
        if (event.type !== 'progress') yield event;
      }
    } catch (error) {
      ended = error;
    }
    if (signal.aborted) return;
    const isStable = sinceMs !== undefined && clock.monotonicMs() - sinceMs >= LIMITS.watchStableMs;
    if (isStable) failures = 0;
    // The server has ended the watch, as it was asked to.
    if (ended === undefined && isStable) continue;
    if (ended !== undefined && !(ended instanceof ApiError)) throw ended;
    failures += 1;
    if (ended?.kind === 'gone') {
      version = undefined;
      // What we know is out of date until the objects are listed, so the first list does not wait.
      if (failures === 1) continue;
    }
    // The same watch would be refused again.
    if (ended?.kind === 'rejected') version = undefined;
    isInDoubt = true;
    if (ended?.kind === 'given-up') continue;
    if (ended !== undefined) {
      isConnected = false;
      yield { type: 'disconnected', error: ended };
    }
    await hurry.wait(signal, pauseMs(ended, failures, random)).catch(() => undefined);
  }
}

/** Whether one version is older than another. Versions that are no numbers cannot be compared. */
function isBefore(a: string, b: string): boolean {
  return /^\d+$/.test(a + b) && Number(a) < Number(b);
}

// Knows the objects of a resource for as long as it runs: one list, then one watch after the other. Only lost history
// costs another list.
//
//     list ──► watch ──(ended, or broken)──► back off ──► watch from the version last seen
//       ▲        └──(history gone, or refused again and again)──┐
//       └───────────────────────────────────────────────────────┘
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
}

/** Follows a resource until `signal` is aborted. Failures of the server are events and do not end it. */
export async function* follow<T>(
  following: Following<T>,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent<T>> {
  const { client, resource, read, clock, random } = following;
  const yieldTurn = createYieldTurn(clock);
  /** The last version seen; undefined: the objects have to be listed. */
  let version: string | undefined;
  let isConnected = true;
  let failures = 0;
  let refusals = 0;
  while (!signal.aborted) {
    let sinceMs: number | undefined;
    let ended: unknown;
    try {
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
        refusals = 0;
        if (event.type !== 'progress') yield event;
      }
    } catch (error) {
      ended = error;
    }
    if (signal.aborted) return;
    const isStable = sinceMs !== undefined && clock.monotonicMs() - sinceMs >= LIMITS.watchStableMs;
    if (isStable) [failures, refusals] = [0, 0];
    // The server has ended the watch, as it was asked to.
    if (ended === undefined && isStable) continue;
    if (ended !== undefined && !(ended instanceof ApiError)) throw ended;
    failures += 1;
    if (ended?.kind === 'gone') {
      version = undefined;
      // What we know is out of date until the objects are listed, so the first list does not wait.
      if (failures === 1) continue;
    }
    // A store that was restored from a copy has not reached our version, and its servers refuse it for ever.
    if (ended?.kind === 'busy' || ended?.kind === 'rejected') refusals += 1;
    if (refusals >= LIMITS.watchRefusals) [version, refusals] = [undefined, 0];
    if (ended?.kind === 'given-up') continue;
    if (ended !== undefined) {
      isConnected = false;
      yield { type: 'disconnected', error: ended };
    }
    await clock.sleep(pauseMs(ended, failures, random), signal).catch(() => undefined);
  }
}

// The own Node at a start: the API's, or where the API does not answer soon, that of the last run with all Nodes of
// then.
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ApiError } from './api/api-error.ts';
import { LIMITS } from './limits.ts';
import type { CachedNodes, NodeCache } from './node-cache.ts';
import type { NodeObject } from './node-object.ts';

export interface RecallDeps {
  /** Asks the API for the own Node until it answers. */
  readonly find: (onFailure: (error: ApiError) => void, signal: AbortSignal) => Promise<NodeObject>;
  readonly cache: Pick<NodeCache, 'read'> | undefined;
  readonly onFailure: (error: ApiError) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Recalled {
  readonly node: NodeObject;
  /** Undefined: the API has answered. */
  readonly last: CachedNodes | undefined;
}

/** Fails as `find` does, and with the reason of an aborted signal. */
export async function findOrRecall(
  { find, cache, onFailure, clock, log }: RecallDeps,
  signal: AbortSignal,
): Promise<Recalled> {
  const last = await readBelieved(cache, log);
  if (last === undefined) return { node: await find(onFailure, signal), last };
  const late = new AbortController();
  /** The API knows that the Node is away: its podCIDR will be another one. */
  let isAway = false;
  const giveUp = (reason: string): void => {
    if (!isAway) late.abort(new Error(reason));
  };
  const either = AbortSignal.any([signal, late.signal]);
  const timer = clock.sleep(LIMITS.cacheAfterMs, either).then(
    () => giveUp(`the API server has not answered for ${LIMITS.cacheAfterMs} ms`),
    () => undefined,
  );
  try {
    const node = await find((error) => {
      onFailure(error);
      isAway ||= error.kind === 'not-found';
      giveUp(messageOf(error));
    }, either);
    return { node, last: undefined };
  } catch (error) {
    if (signal.aborted || !late.signal.aborted) throw error;
    log.warn('going on with the Nodes of the last run', {
      peers: last.peers.length,
      reason: messageOf(late.signal.reason),
    });
    return { node: last.own, last };
  } finally {
    late.abort();
    await timer;
  }
}

async function readBelieved(
  cache: Pick<NodeCache, 'read'> | undefined,
  log: Logger,
): Promise<CachedNodes | undefined> {
  try {
    return await cache?.read();
  } catch (error) {
    log.warn(messageOf(error));
    return undefined;
  }
}

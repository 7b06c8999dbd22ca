// Tells another node, which asks in the datastore whether the holder of our lease is alive, that it is.
import type { Clock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { retry } from '../base/retry.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import { CHALLENGE_WAIT_MS, DATASTORE_BACKOFF } from '../model/limits.ts';

export interface ChallengeAnswerDeps {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Answers all who ask about the lease with this key, `name` among them. Tries for as long as they wait, and never
 * fails.
 */
export async function answerChallenge(
  deps: ChallengeAnswerDeps,
  key: string,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock, log } = deps;
  const endMs = clock.monotonicMs() + CHALLENGE_WAIT_MS;
  const attempt = (): Promise<void> => store.answerChallenge(key, signal);
  const onFailure = (error: unknown): void => {
    if (clock.monotonicMs() >= endMs) throw error;
  };
  try {
    await retry({ ...deps, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
  } catch (error) {
    if (signal.aborted) return;
    log.warn(asTwillError(error, 'datastore', `cannot answer node ${name}`).message);
  }
}

// Challenges, from both sides. A node that finds a lease which may be its own asks in the store whether another node
// answers for it; a node that is asked about its lease answers.
import type { Clock } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { retry } from '../base/retry.ts';
import { formatSubnets, type NodeIdentity } from '../model/lease.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import { CHALLENGE_WAIT_MS, DATASTORE_BACKOFF } from '../model/limits.ts';
import type { Choice } from './choose.ts';
import type { Self } from './ownership.ts';

export interface ChallengeDeps {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

/**
 * Whether another node answers for the lease. Fails as `conflict` when that node has our address, and as `datastore`.
 */
export async function isAnswered(
  { store, log }: ChallengeDeps,
  { lease, because }: Extract<Choice, { kind: 'ask' }>,
  self: Self,
  signal: AbortSignal,
): Promise<boolean> {
  const subnet = formatSubnets(lease.subnets);
  const holder = lease.attrs.node?.name ?? 'unknown';
  const publicIP = lease.attrs.publicIP.ipv4;
  const found =
    because === 'moved'
      ? 'a lease at another address has our name'
      : 'the lease at our address has another node name';
  log.info(`${found}: asking whether its holder is alive`, { subnet, holder, public_ip: publicIP });
  if (!(await store.challenge(lease, self.node, CHALLENGE_WAIT_MS, signal))) {
    log.info('nobody answered: the lease is ours', { subnet, holder });
    return false;
  }
  if (because === 'moved') {
    log.warn('another node has our name and machine id; its lease is not ours', {
      subnet,
      public_ip: publicIP,
    });
    return true;
  }
  throw new TwillError(
    'conflict',
    `node ${holder} is alive and has our public address ${self.publicIP.ipv4} (we are ${self.node.name}, its subnet is ${subnet})`,
    { hint: 'give each host its own address: choose another interface with --iface, or set --public-ip' },
  );
}

/** Answers every challenge of our lease `key`, among them that of node `by`. Tries while they wait, and never fails. */
export async function answerChallenge(
  { store, clock, random, log }: ChallengeDeps,
  key: string,
  by: NodeIdentity,
  signal: AbortSignal,
): Promise<void> {
  const endMs = clock.monotonicMs() + CHALLENGE_WAIT_MS;
  const attempt = (): Promise<void> => store.answerChallenge(key, signal);
  const onFailure = (error: unknown): void => {
    if (clock.monotonicMs() >= endMs) throw error;
  };
  try {
    await retry({ clock, random, backoff: DATASTORE_BACKOFF, attempt, onFailure }, signal);
  } catch (error) {
    if (signal.aborted) return;
    log.warn(asTwillError(error, 'datastore', `cannot answer node ${by.name}`).message);
  }
}

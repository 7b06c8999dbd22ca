// The tenure in words: its condition, and the log lines about its changes.
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { createLogBudget } from '../base/log-budget.ts';
import type { Condition } from '../model/condition.ts';
import { formatSubnets, type NodeIdentity } from '../model/lease.ts';
import type { HeldLease } from '../model/lease-store.ts';
import { LIMITS } from './limits.ts';
import { settled, type Tenure } from './tenure.ts';

export const NO_CONFIG = 'the network configuration is gone from the datastore: waiting for it';

/** Why the lease is not surely held; undefined: it is. */
export function conditionOf(tenure: Tenure, hasConfig: boolean): Condition | undefined {
  const now = settled(tenure);
  switch (now.kind) {
    case 'none':
      return { part: 'lease', state: 'waiting', reason: 'waiting for a lease' };
    case 'held':
      if (now.check === undefined) return undefined;
      return { part: 'lease', state: 'waiting', reason: 'asking whether our lease still stands' };
    case 'lost':
      return { part: 'lease', state: 'failing', reason: hasConfig ? 'claiming a lease again' : NO_CONFIG };
    case 'taken':
      return { part: 'lease', state: 'failing', reason: 'another node has our subnet: claiming another one' };
  }
}

/** Logs what others write into our lease, at a limited rate: they may do it without end. */
export function createForeignWrites(log: Logger, clock: Clock) {
  const again = { clock, periodMs: LIMITS.ownLeaseLogMs };
  const challenges = createLogBudget({
    ...again,
    lines: 1,
    // Several nodes may ask at the same time.
    onFull: () => undefined,
    onRest: (times) => log.warn('nodes asked whether we are alive', { times }),
  });
  const overwrites = createLogBudget({
    ...again,
    lines: LIMITS.ownLeaseLines,
    onFull: () => log.warn('our lease is overwritten again and again; that is counted for a minute'),
    onRest: (times) => log.warn('our lease was overwritten more often', { times }),
  });
  return {
    /** A node asks whether we are alive. */
    challenged(by: NodeIdentity | undefined): void {
      const name = by?.name ?? 'unknown';
      challenges(() => log.warn(`node ${name} asks whether we are alive: answering`, { mac: by?.mac }));
    },
    /** Our lease was overwritten, and is written again. */
    overwritten(subnet: string): void {
      overwrites(() => log.warn('our lease was overwritten: wrote it again', { subnet }));
    },
  };
}

/** Logs the end of a lease. */
export function reportChange(log: Logger, before: Tenure, next: Tenure): void {
  const [was, is] = [settled(before), settled(next)];
  if (is.kind === 'lost' && was.kind === 'held') {
    log.warn('our lease is gone from the datastore', { subnet: formatSubnets(is.last.lease.subnets) });
  }
  if (is.kind === 'taken' && was.kind !== 'taken') {
    log.error('another node has our subnet now: it is not used any more', {
      subnet: formatSubnets(is.last.lease.subnets),
      holder: is.by?.attrs.publicIP.ipv4,
      name: is.by?.attrs.node?.name,
    });
  }
}

/** Logs a new lease. `how`: `claimed` or `kept`. `last`: the lease before it. */
export function reportGranted(
  log: Logger,
  how: string,
  { lease, ttlSeconds }: HeldLease,
  last: HeldLease | undefined,
  others: number,
): void {
  const is = formatSubnets(lease.subnets);
  if (last !== undefined && last.lease.key !== lease.key) {
    const was = formatSubnets(last.lease.subnets);
    log.error('this node has another subnet from now on: start its containers anew', { was, is });
  }
  log.info(`${how} ${is}`, { public_ip: lease.attrs.publicIP.ipv4, ttl: ttlSeconds ?? 'reserved', others });
}

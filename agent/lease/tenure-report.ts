// The tenure in words: its condition, and the log lines about its changes.
import type { Logger } from '../base/log.ts';
import type { Condition } from '../model/condition.ts';
import { formatSubnets, type NodeIdentity } from '../model/lease.ts';
import type { HeldLease } from '../model/lease-store.ts';
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

/** Logs that a node asks whether we are alive. */
export function reportChallenge(log: Logger, by: NodeIdentity | undefined): void {
  log.warn(`node ${by?.name ?? 'unknown'} asks whether we are alive: answering`, { mac: by?.mac });
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

// Gives back leases of this node that do not fit the network configuration any more.
import type { Logger } from '../base/log.ts';
import { formatSubnets } from '../model/lease.ts';
import type { HolderInput, OwnAttrs } from '../model/lease-holder.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import { findMisfits } from './choose.ts';

/** Releases each of them. One outside the configured range would block subnets of it for as long as it lives. */
export async function releaseMisfits(
  { store, config, known, log }: Pick<HolderInput, 'config' | 'known'> & { store: LeaseStore; log: Logger },
  self: OwnAttrs,
  signal: AbortSignal,
): Promise<void> {
  for (const lease of findMisfits(known.leases, config, self)) {
    const subnet = formatSubnets(lease.subnets);
    log.warn('our lease does not fit the network configuration any more', { subnet });
    await store.release({ lease, ttlSeconds: undefined }, signal);
  }
}

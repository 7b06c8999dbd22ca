// Which of the leases in the store is this node's already, and whether whoever wrote it is still there.
import { TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { LIMITS } from '../limits.ts';
import { formatPrefix } from '../model/ip.ts';
import type { Lease, LeaseAttrs, NodeIdentity } from '../model/lease.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import { mayKeep, ownership } from './allocator.ts';

/** What a node of ours announces. */
export type OwnAttrs = LeaseAttrs & { readonly node: NodeIdentity };

export interface FindOwnDeps {
  readonly store: LeaseStore;
  readonly log: Logger;
  readonly config: NetworkConfig;
  /** What this node announces; its identity is part of it. */
  readonly attrs: OwnAttrs;
  /** The leases as known at this moment. */
  readonly leases: () => readonly Lease[];
}

/**
 * A lease at our address that this node may keep; undefined: there is none. One that does not fit the configuration
 * is given back. Fails as `conflict` when a live node with another identity holds it, and as `datastore`.
 */
export async function findOwn(deps: FindOwnDeps, signal: AbortSignal): Promise<Lease | undefined> {
  const { store, log, config, attrs } = deps;
  const candidates = deps
    .leases()
    .map((lease) => ({ lease, kind: ownership(lease, attrs.publicIP, attrs.node) }))
    // With one that is surely ours, nobody has to be asked about another.
    .sort((a, b) => Number(a.kind === 'doubtful') - Number(b.kind === 'doubtful'));
  for (const { lease, kind } of candidates) {
    if (kind === undefined) continue;
    if (!mayKeep(lease, config)) {
      log.warn('our lease does not fit the network configuration any more', {
        subnet: formatPrefix(lease.subnet),
      });
      if (kind === 'ours') await store.release({ lease, ttlSeconds: undefined }, signal);
      continue;
    }
    if (kind === 'doubtful') await assertSilent(deps, lease, signal);
    return lease;
  }
  return undefined;
}

// The same machine installed anew has another identity, but then nobody answers for the old one.
async function assertSilent(
  { store, log, attrs }: FindOwnDeps,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> {
  const holder = lease.attrs.node?.name ?? 'unknown';
  const subnet = formatPrefix(lease.subnet);
  log.info('another node name stands in the lease of our address: asking whether it is alive', {
    subnet,
    holder,
  });
  if (!(await store.challenge(lease, attrs.node, LIMITS.challengeWaitMs, signal))) {
    log.info('nobody answered: the lease is ours', { subnet, holder });
    return;
  }
  throw new TwillError(
    'conflict',
    `node ${holder} is alive and has our public address ${attrs.publicIP} (we are ${attrs.node.name}, its subnet is ${subnet})`,
    { hint: 'give each host its own address: choose another interface with --iface, or set --public-ip' },
  );
}

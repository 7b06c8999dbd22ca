// Which of the leases in the store is this node's already, and whether whoever wrote it is still there.
import { TwillError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { formatSubnets, type Lease, type LeaseAttrs, type NodeIdentity } from '../model/lease.ts';
import type { LeaseStore } from '../model/lease-store.ts';
import { CHALLENGE_WAIT_MS } from '../model/limits.ts';
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

// The surest first: with that, nobody has to be asked about another.
const ORDER = ['ours', 'moved', 'doubtful'] as const;

/**
 * A lease that this node may keep; undefined: there is none. One that does not fit the configuration is given back.
 * Fails as `conflict` when a live node with another identity holds one at our address, and as `datastore`.
 */
export async function findOwn(deps: FindOwnDeps, signal: AbortSignal): Promise<Lease | undefined> {
  const { store, log, config, attrs } = deps;
  const known = deps.leases().map((lease) => ({ lease, kind: ownership(lease, attrs.publicIP, attrs.node) }));
  for (const kind of ORDER) {
    for (const { lease } of known.filter((found) => found.kind === kind)) {
      if (!mayKeep(lease, config)) {
        log.warn('our lease does not fit the network configuration any more', {
          subnet: formatSubnets(lease.subnets),
        });
        if (kind === 'ours') await store.release({ lease, ttlSeconds: undefined }, signal);
        continue;
      }
      if (kind === 'ours' || (await isSilent(deps, kind, lease, signal))) return lease;
    }
  }
  return undefined;
}

// The same machine at a new address, or installed anew, has left a lease that nobody answers for.
async function isSilent(
  { store, log, attrs }: FindOwnDeps,
  kind: 'moved' | 'doubtful',
  lease: Lease,
  signal: AbortSignal,
): Promise<boolean> {
  const holder = lease.attrs.node?.name ?? 'unknown';
  const publicIP = lease.attrs.publicIP[4];
  const subnet = formatSubnets(lease.subnets);
  const what =
    kind === 'moved'
      ? 'our name stands in a lease of another address'
      : 'another node name stands in the lease of our address';
  log.info(`${what}: asking whether its holder is alive`, { subnet, holder, public_ip: publicIP });
  if (!(await store.challenge(lease, attrs.node, CHALLENGE_WAIT_MS, signal))) {
    log.info('nobody answered: the lease is ours', { subnet, holder });
    return true;
  }
  if (kind === 'moved') {
    log.warn('another node has our name and machine id; its lease is not ours', {
      subnet,
      public_ip: publicIP,
    });
    return false;
  }
  throw new TwillError(
    'conflict',
    `node ${holder} is alive and has our public address ${attrs.publicIP[4]} (we are ${attrs.node.name}, its subnet is ${subnet})`,
    { hint: 'give each host its own address: choose another interface with --iface, or set --public-ip' },
  );
}

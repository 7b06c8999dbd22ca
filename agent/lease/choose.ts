// The lease that a node should have, from all that is known. Pure: the store decides who gets a subnet. The agent does
// what is chosen here; `twill plan` shows it.
import type { Random } from '../base/random.ts';
import type { PerFamily, Prefix } from '../model/ip.ts';
import { formatSubnetKey, type Lease } from '../model/lease.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import { chooseSubnet, mayKeep } from './allocator.ts';
import { isFromUs, ownership, type Self } from './ownership.ts';

export type Choice =
  /** This lease is ours. */
  | { readonly kind: 'keep'; readonly lease: Lease }
  /** This lease is ours unless another node answers for it; see `ownership` for `because`. */
  | { readonly kind: 'ask'; readonly lease: Lease; readonly because: 'moved' | 'renamed' }
  /** No lease is ours, and these subnets are free. */
  | { readonly kind: 'claim'; readonly subnets: PerFamily<Prefix> }
  /** No lease is ours, and no subnet is free. */
  | { readonly kind: 'full' };

export interface ChoiceInput {
  /** Everyone's. */
  readonly leases: readonly Lease[];
  readonly config: NetworkConfig;
  readonly self: Self;
  /** The subnets to prefer where they are free. */
  readonly previous: PerFamily<Prefix> | undefined;
  readonly random: Random;
  /** The lease held last in this run: entries with its session are no obstacle. */
  readonly last?: Lease | undefined;
  /** Subnets that are another node's, by its answer or the store's, although `leases` does not say so. */
  readonly taken?: readonly PerFamily<Prefix>[];
}

export function choose({ leases, config, self, previous, random, last, taken = [] }: ChoiceInput): Choice {
  const takenKeys = new Set(taken.map(formatSubnetKey));
  const find = (kind: ReturnType<typeof ownership>): Lease | undefined =>
    leases.find(
      (lease) => ownership(lease, self) === kind && mayKeep(lease, config) && !takenKeys.has(lease.key),
    );
  const lease = find('ours');
  if (lease !== undefined) return { kind: 'keep', lease };
  for (const because of ['moved', 'renamed'] as const) {
    const found = find(because);
    if (found !== undefined && !isFromUs(found, self, last)) return { kind: 'ask', lease: found, because };
  }
  const occupied = [
    ...leases.filter((other) => !isFromUs(other, self, last)).map(({ subnets }) => subnets),
    ...taken,
  ].flatMap((subnets) => subnets.ipv4 ?? []);
  const subnet = chooseSubnet(config, occupied, previous?.ipv4, random);
  return subnet === undefined ? { kind: 'full' } : { kind: 'claim', subnets: { ipv4: subnet } };
}

/** Leases that are ours and that the configuration does not allow any more. */
export function findMisfits(leases: readonly Lease[], config: NetworkConfig, self: Self): readonly Lease[] {
  return leases.filter((lease) => ownership(lease, self) === 'ours' && !mayKeep(lease, config));
}

// The lease that a node should have, from all that is known. Pure: the store decides who gets a subnet. The agent does
// what is chosen here; `twill plan` shows it.
import type { Random } from '../base/random.ts';
import { hostPrefix, type PerFamily, type Prefix } from '../model/ip.ts';
import { formatSubnetKey, type Lease } from '../model/lease.ts';
import type { NetworkConfig } from '../model/network-config.ts';
import { isFromUs, type Ownership, ownership, type Self } from '../model/ownership.ts';
import { misfitOf } from '../model/trust.ts';
import { chooseSubnet, mayKeep } from './allocator.ts';
import { LIMITS } from './limits.ts';

export type Choice =
  /** This lease is ours. */
  | { readonly kind: 'keep'; readonly lease: Lease }
  /** This lease is ours unless another node answers for it; see `ownership` for `because`. */
  | Question
  /** No lease is ours, and these subnets are free. */
  | { readonly kind: 'claim'; readonly subnets: PerFamily<Prefix> }
  /** No lease is ours, and no subnet is free. */
  | { readonly kind: 'full' };

export interface Question {
  readonly kind: 'ask';
  readonly lease: Lease;
  readonly because: Exclude<Ownership, 'ours'>;
}

export interface ChoiceInput {
  /** Everyone's. */
  readonly leases: readonly Lease[];
  readonly config: NetworkConfig;
  readonly self: Self;
  /** The subnets of the last run, to prefer where they are free. */
  readonly previous: PerFamily<Prefix> | undefined;
  /** The subnets of a lease that slipped away in this search, to prefer before those. */
  readonly missed?: PerFamily<Prefix> | undefined;
  readonly random: Random;
  /** The lease held last in this run: entries with its session are no obstacle. */
  readonly last?: Lease | undefined;
  /** Subnets that are another node's, by its answer or the store's, although `leases` does not say so. */
  readonly taken?: readonly PerFamily<Prefix>[];
  /** Prefixes that no new subnet may overlap, because this host needs their addresses. */
  readonly spared?: readonly Prefix[];
  /** Whether a holder may be asked; default true. */
  readonly mayAsk?: boolean;
  /** The lease at our address whose holder was asked and did not answer. */
  readonly silent?: Lease | undefined;
}

// A live node with our address is found before all else. A lease of this machine is better than a silent node's.
const QUESTIONABLE = ['namesake', 'moved', 'clone'] as const;

export function choose(input: ChoiceInput): Choice {
  const { leases, config, self, previous, missed, random, last, taken = [], spared = [] } = input;
  const { mayAsk = true, silent } = input;
  const takenKeys = new Set(taken.map(formatSubnetKey));
  const previousKey = previous && formatSubnetKey(previous);
  const find = (kind: Ownership): Lease | undefined =>
    leases
      .filter((lease) => ownership(lease, self) === kind && mayKeep(lease, config))
      // A late request of our own last run may have taken the subnet.
      .filter(({ key }) => kind === 'ours' || !takenKeys.has(key))
      // Containers of this machine may have addresses of the previous subnet. Anybody can write leases that look like
      // ours: flannel's have no identity, and ours was here first.
      .sort(
        (a, b) =>
          Number(b.key === previousKey) - Number(a.key === previousKey) ||
          Number(a.attrs.node === undefined) - Number(b.attrs.node === undefined) ||
          (kind === 'ours' ? a.created - b.created : b.revision - a.revision),
      )
      .find((lease) => kind === 'ours' || !isFromUs(lease, self, last));
  const lease = find('ours');
  if (lease !== undefined) return { kind: 'keep', lease };
  for (const because of mayAsk ? QUESTIONABLE : []) {
    const found = find(because);
    if (found === undefined) continue;
    // A run that has held a lease claims its subnet again, unless a node with its address has taken that very subnet.
    if (last !== undefined && (because !== 'namesake' || found.key !== last.key)) continue;
    if (because === 'namesake' && silent !== undefined) continue;
    // There may be many clones. Only the memory of this machine says that one of their leases may be ours.
    if (because !== 'clone' || found.key === previousKey) return { kind: 'ask', lease: found, because };
  }
  if (silent !== undefined && last === undefined) return { kind: 'keep', lease: silent };
  const others = leases.filter((other) => !isFromUs(other, self, last));
  const { occupied, misfits } = placesOf(others, config);
  const refused = taken.flatMap((subnets) => subnets.ipv4 ?? []);
  const obstacles = [...occupied, ...refused, ...spared];
  const subnet = chooseSubnet(config, obstacles, (missed ?? previous)?.ipv4, random, misfits);
  return subnet === undefined ? { kind: 'full' } : { kind: 'claim', subnets: { ipv4: subnet } };
}

/** The subnets and addresses of other nodes, and the subnets of leases that can be no node's. */
function placesOf(
  leases: readonly Lease[],
  config: NetworkConfig,
): { readonly occupied: readonly Prefix[]; readonly misfits: readonly Prefix[] } {
  const [occupied, misfits]: [Prefix[], Prefix[]] = [[], []];
  for (const { subnets, attrs } of leases) {
    const [subnet, publicIP] = [subnets.ipv4, attrs.publicIP.ipv4];
    if (subnet === undefined || publicIP === undefined) continue;
    if (misfitOf(config, { subnet, publicIP }) !== undefined) misfits.push(subnet);
    else occupied.push(subnet, hostPrefix(publicIP));
  }
  return { occupied, misfits };
}

/**
 * Leases that are ours, by their identity too, and that the configuration does not allow any more; some of many. Each
 * would block subnets of other lengths for as long as it lives.
 */
export function findMisfits(leases: readonly Lease[], config: NetworkConfig, self: Self): readonly Lease[] {
  return leases
    .filter((lease) => lease.session !== undefined && lease.attrs.node !== undefined)
    .filter((lease) => ownership(lease, self) === 'ours' && !mayKeep(lease, config))
    .slice(0, LIMITS.misfits);
}

// Finds a free subnet for a node. Pure: the store decides who gets it.
import { TwillError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { addressBits, containsPrefix, formatPrefix, networkOf, type Prefix } from '../model/ip.ts';
import { formatSubnets, type Lease } from '../model/lease.ts';
import { type NetworkConfig, subnetAt, subnetCount } from '../model/network-config.ts';
import { LIMITS } from './limits.ts';

/** Whether the configuration allows to lease a subnet. */
export function fits(subnet: Prefix, config: NetworkConfig): boolean {
  if (subnet.family !== 'ipv4' || subnet.length !== config.subnetLength) return false;
  if (networkOf(subnet).address !== subnet.address) return false;
  const bits = addressBits(subnet.address);
  return bits >= addressBits(config.subnetMin.address) && bits <= addressBits(config.subnetMax.address);
}

/** Whether a node may keep its lease: a reservation may lie outside of the range, from `subnetMin` to `subnetMax`. */
export function mayKeep({ subnets, session }: Lease, config: NetworkConfig): boolean {
  const { ipv4: subnet, ipv6 } = subnets;
  // The key of both families does not say that the IPv4 subnet is free: another node may have the key of that one.
  if (subnet === undefined || ipv6 !== undefined) return false;
  if (session !== undefined) return fits(subnet, config);
  return subnet.length === config.subnetLength && containsPrefix(config.network, subnet);
}

/**
 * The subnet to claim next: the previous one where it is free, else any free one by chance, so that nodes that start
 * together rarely choose the same. A free subnet overlaps none in `taken`. One that overlaps none of the `misfits`
 * either is better: those are subnets of leases that no node believes. Undefined: all are taken.
 */
export function chooseSubnet(
  config: NetworkConfig,
  taken: readonly Prefix[],
  previous: Prefix | undefined,
  random: Random,
  misfits: readonly Prefix[] = [],
): Prefix | undefined {
  const isFree = freedom(config, taken);
  const isBetter = freedom(config, misfits);
  if (previous !== undefined && fits(previous, config) && isFree(previous)) return previous;
  const count = subnetCount(config);
  const start = Math.floor(random() * count);
  // Most networks are mostly free: a few tries by chance find one before the search in order has to.
  for (let attempt = 0; attempt < 8; attempt++) {
    const subnet = subnetAt(config, Math.floor(random() * count));
    if (isFree(subnet) && isBetter(subnet)) return subnet;
  }
  let fallback: Prefix | undefined;
  let looks = 0;
  for (let i = 0; i < count && looks < LIMITS.misfitLooks; i++) {
    const subnet = subnetAt(config, (start + i) % count);
    if (!isFree(subnet)) continue;
    if (isBetter(subnet)) return subnet;
    fallback ??= subnet;
    looks++;
  }
  return fallback;
}

// A subnet is looked up once for each length that occurs, so that many taken ones cost no more than few. A prefix
// around the whole network takes no part of it.
function freedom(
  { network, subnetLength }: NetworkConfig,
  taken: readonly Prefix[],
): (subnet: Prefix) => boolean {
  const byLength = new Map<number, Set<string>>();
  for (const prefix of taken) {
    if (prefix.length < network.length) continue;
    const length = Math.min(prefix.length, subnetLength);
    const { address } = networkOf({ ...prefix, length });
    byLength.set(length, (byLength.get(length) ?? new Set()).add(address));
  }
  const lengths = [...byLength];
  return (subnet) => !lengths.some(([length, all]) => all.has(networkOf({ ...subnet, length }).address));
}

const NAMED_OWNERS = 10;

/** One line on who holds the subnets of a full network. */
export function describeTaken(config: NetworkConfig, leases: readonly Lease[]): string {
  const inside = leases.filter(({ subnets }) => subnets.ipv4 !== undefined && fits(subnets.ipv4, config));
  const owners = inside.slice(0, NAMED_OWNERS).map(({ subnets, attrs }) => {
    const name = attrs.node === undefined ? '' : ` (${attrs.node.name})`;
    return `${formatSubnets(subnets)} by ${attrs.publicIP.ipv4}${name}`;
  });
  const rest = inside.length > NAMED_OWNERS ? `, and ${inside.length - NAMED_OWNERS} more` : '';
  const range = `${config.subnetMin.address} to ${formatPrefix(config.subnetMax)}`;
  return `all ${subnetCount(config)} subnets from ${range} are taken: ${owners.join(', ')}${rest}`;
}

/** The error for a network in which nothing is free. */
export function exhausted(config: NetworkConfig, leases: readonly Lease[]): TwillError {
  return new TwillError('exhausted', describeTaken(config, leases), {
    hint: 'enlarge Network or SubnetMax, or delete leases of nodes that are gone',
  });
}

// The conditions some time after the last fault: every kernel matches the leases, every host reaches every other, and
// every node reports ready.
import { isDeepStrictEqual } from 'node:util';
import { planFirewall } from '../../agent/firewall/rules.ts';
import { type Backend } from '../../agent/model/backend.ts';
import { arrivalLinkOf, formatHostState } from '../../agent/model/host-state.ts';
import { formatPrefix } from '../../agent/model/ip.ts';
import { formatSubnetKey, formatSubnets, type Lease } from '../../agent/model/lease.ts';
import { planHostState } from '../../agent/node/plan.ts';
import type { Cluster } from './cluster.ts';
import type { Host } from './host.ts';
import { NODE_OPTIONS } from './node-options.ts';
import { unreachable } from './reach.ts';

/** The first condition that does not hold; undefined: the cluster has converged. */
export function complaint(cluster: Cluster, backend: Backend): string | undefined {
  const hosts = cluster.present();
  const leases = cluster.leases();
  for (const host of hosts) {
    const why = complaintOf(cluster, backend, leases, host);
    if (why !== undefined) return `${host.name}: ${why}`;
  }
  if (backend.type === 'alloc') return undefined;
  const { hasJunk, laws } = cluster;
  for (const from of hosts) {
    for (const to of hosts) {
      // An older lease may claim what this node claims.
      const isExcused = from === to || (hasJunk && laws.traffic.excuse(from, to) !== undefined);
      const why = isExcused ? undefined : unreachable(from, to, hosts);
      if (why !== undefined) return `${from.name} does not reach ${to.name}: ${why}`;
    }
  }
  return undefined;
}

function complaintOf(
  cluster: Cluster,
  backend: Backend,
  leases: readonly Lease[],
  host: Host,
): string | undefined {
  const { config } = cluster;
  if (host.node === undefined) return 'does not run';
  const [condition] = host.node.conditions();
  if (condition !== undefined) return `is not ready: ${condition.reason}`;
  const own = leases.filter(({ attrs }) => host.machine.isWriter(attrs.node));
  // A node may have written two leases: the store may carry out a request long after its client, or the client's
  // process, has given up. The other lease ends with its session.
  const { env, gate } = host.handOff;
  const lease = own.find(({ key }) => env !== undefined && key === formatSubnetKey({ ipv4: env.subnet }));
  if (env === undefined || lease === undefined) {
    const held = own.map(({ subnets }) => formatSubnets(subnets)).join(' ') || 'nothing';
    return `handed off ${env && formatPrefix(env.subnet)} and holds ${held}`;
  }
  const { subnets } = lease;
  const { subnet } = env;
  if (!isDeepStrictEqual(gate, subnet)) return `starts containers in ${gate && formatPrefix(gate)}`;
  if (lease.attrs.publicIP.ipv4 !== host.address) return `announces ${lease.attrs.publicIP.ipv4}`;
  if (lease.asked !== undefined) return `has not answered ${lease.asked.name}`;
  if (!isDeepStrictEqual(lease.attrs.node, host.facts.node)) return `announces ${lease.attrs.node?.name}`;
  if (env.mtuBytes !== backend.mtuBytes(host.facts.underlay)) return `handed off an MTU of ${env.mtuBytes}`;
  const plan = planHostState({ options: NODE_OPTIONS, host: host.facts, config, backend, subnets, leases });
  const links = [...new Set(plan.flatMap((object) => arrivalLinkOf(object) ?? []))].sort();
  const rules = planFirewall({ ...NODE_OPTIONS, network: config.network, subnet, links, bridges: [] });
  const held = host.firewall.rules;
  // With junk in the store, a node may have routes by links that `plan` does not use.
  const direct = cluster.hasJunk ? (held?.direct ?? []) : rules.direct;
  if (!isDeepStrictEqual({ ...rules, direct }, held)) return 'the rules differ';
  // Nodes that have started at other times may believe others of the leases that contradict each other.
  if (cluster.hasJunk) return undefined;
  const [wanted, actual] = [formatHostState(plan), host.kernel.print()];
  return wanted === actual ? undefined : `the kernel differs: ${difference(wanted, actual)}`;
}

function difference(wanted: string, actual: string): string {
  const [left, right] = [wanted, actual].map((text) => new Set(text.split('\n')));
  const missing = [...(left ?? [])].filter((line) => right?.has(line) === false);
  const surplus = [...(right ?? [])].filter((line) => left?.has(line) === false);
  return [...missing.map((line) => `+ ${line}`), ...surplus.map((line) => `- ${line}`)]
    .slice(0, 4)
    .join('; ');
}

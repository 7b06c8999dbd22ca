// The subnet that this node's own Node assigns to it, or why it assigns none. Pure.
import { messageOf } from '../base/errors.ts';
import type { Condition } from '../model/condition.ts';
import { containsPrefix, formatPrefix, overlaps, type Prefix } from '../model/ip.ts';
import { formatSubnets } from '../model/lease.ts';
import { parseSubnets } from './node-lease.ts';
import type { NodeObject } from './node-object.ts';

export type Assignment =
  /** The subnet of IPv4. Twill carries no other family. */
  | { readonly kind: 'assigned'; readonly subnet: Prefix }
  /** None yet: that is no fault of this node. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** One that cannot be used. */
  | { readonly kind: 'failing'; readonly reason: string };

export interface AssignmentRules {
  readonly nodeName: string;
  /** The whole overlay, and a part of it as an example of a podCIDR. */
  readonly network: Prefix;
  readonly example: Prefix;
  /** Prefixes that this host needs itself. */
  readonly spared: readonly Prefix[];
}

/** The assignment by the own Node; undefined: it does not exist. */
export function readAssignment(
  node: NodeObject | undefined,
  { nodeName, network, example, spared }: AssignmentRules,
): Assignment {
  const refuse = (why: string): Assignment => ({ kind: 'failing', reason: `Node ${nodeName}: ${why}` });
  if (node === undefined) {
    return {
      kind: 'waiting',
      reason: `Node ${nodeName} does not exist: waiting until kubelet registers it, which a start of kubelet does`,
    };
  }
  if (node.podCidrs.length === 0)
    return { kind: 'waiting', reason: waitingFor(nodeName, formatPrefix(example)) };
  let subnets: ReturnType<typeof parseSubnets>;
  try {
    subnets = parseSubnets(node);
  } catch (error) {
    return refuse(messageOf(error));
  }
  const { ipv4: subnet } = subnets;
  if (subnet === undefined) return refuse(`it has no podCIDR of IPv4, but ${formatSubnets(subnets)} alone`);
  const text = formatPrefix(subnet);
  if (!containsPrefix(network, subnet)) {
    return refuse(
      `its podCIDR ${text} is outside of Network ${formatPrefix(network)}: make Network the --cluster-cidr of kube-controller-manager`,
    );
  }
  const needed = spared.find((prefix) => overlaps(prefix, subnet));
  if (needed !== undefined) {
    return refuse(`its podCIDR ${text} overlaps ${formatPrefix(needed)}, which this host needs itself`);
  }
  return { kind: 'assigned', subnet };
}

function waitingFor(nodeName: string, example: string): string {
  const patch = `kubectl patch node ${nodeName} -p '{"spec":{"podCIDR":"${example}"}}'`;
  return `waiting for a podCIDR of Node ${nodeName}: start kube-controller-manager with --allocate-node-cidrs, or assign a free one: ${patch}`;
}

/** The condition of an assignment; undefined: it has none. */
export function conditionOf(assignment: Assignment): Condition | undefined {
  if (assignment.kind === 'assigned') return undefined;
  return { part: 'lease', state: assignment.kind, reason: assignment.reason };
}

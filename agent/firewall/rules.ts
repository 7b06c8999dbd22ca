// Decides which firewall rules a node has. Pure: how they get into the kernel is the appliers' concern. The
// rules, their order and their comments are flannel's to the byte, so that a node that changes from one agent
// to the other, or runs tools that look for these rules, never sees a rule twice.
import type { FirewallRule, FirewallRules } from '../model/firewall.ts';
import { networkOf, type Prefix } from '../model/ip.ts';

/** What the rules depend on. */
export interface FirewallInput {
  /** The whole overlay. */
  readonly network: Prefix;
  /** This node's slice of it. */
  readonly subnet: Prefix;
  /** Masquerade what leaves the overlay or enters it from outside. */
  readonly ipMasq: boolean;
  /** Accept forwarded overlay packets. */
  readonly forwardRules: boolean;
  /** Masquerade with random source ports where supported. */
  readonly randomFully: boolean;
}

// kube-proxy marks what it will masquerade itself; a second masquerade breaks the connection on some kernels.
const KUBE_PROXY_MARK = { value: 0x4000, mask: 0x4000 };
const MULTICAST: Prefix = { family: 4, address: '224.0.0.0', length: 4 };

/** The rules of a node; a kind that was not asked for is an empty list, so that earlier ones are removed. */
export function planFirewall(input: FirewallInput): FirewallRules {
  const network = networkOf(input.network);
  const subnet = networkOf(input.subnet);
  return {
    postrouting: input.ipMasq ? planPostrouting(network, subnet) : [],
    forward: input.forwardRules ? planForward(network) : [],
    randomFully: input.randomFully,
  };
}

function planPostrouting(network: Prefix, subnet: Prefix): readonly FirewallRule[] {
  const comment = 'flanneld masq';
  return [
    { match: { mark: KUBE_PROXY_MARK }, action: 'return', comment },
    // Between containers the source address is kept, in both directions.
    { match: { source: subnet, destination: network }, action: 'return', comment },
    { match: { source: network, destination: subnet }, action: 'return', comment },
    // A container of ours that is reached from outside sees who asks.
    { match: { notSource: network, destination: subnet }, action: 'return', comment },
    { match: { source: network, notDestination: MULTICAST }, action: 'masquerade', comment },
    // From outside to a container elsewhere: the answer has to come back through this node.
    { match: { notSource: network, destination: network }, action: 'masquerade', comment },
  ];
}

function planForward(network: Prefix): readonly FirewallRule[] {
  const comment = 'flanneld forward';
  return [
    { match: { source: network }, action: 'accept', comment },
    { match: { destination: network }, action: 'accept', comment },
  ];
}

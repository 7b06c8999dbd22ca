// Plans the firewall rules of a node. Pure: the appliers put them into the kernel.
//
// Of `postrouting` and `forward`, rules, order and comments are flannel's to the byte, so that no rule exists twice
// after a change of agents, and tools that look for these rules find them. The other lists are ours.
import type { FirewallRule, FirewallRules } from '../model/firewall.ts';
import type { LocalBridge } from '../model/host-checks.ts';
import { networkOf, type Prefix } from '../model/ip.ts';

/** Input of the plan. */
export interface FirewallInput {
  /** The whole overlay. */
  readonly network: Prefix;
  /** This node's slice of it. */
  readonly subnet: Prefix;
  /** Masquerade packets that leave the overlay or enter it. */
  readonly ipMasq: boolean;
  /** Accept forwarded overlay packets. */
  readonly forwardRules: boolean;
  /** Masquerade with random source ports where supported. */
  readonly randomFully: boolean;
  /** Accept packets of peers to containers before Docker drops them. */
  readonly dockerDirect: boolean;
  /** Names of the links that packets of peers come in by. */
  readonly links: readonly string[];
  /** The bridges of this host that carry parts of our subnet. */
  readonly bridges: readonly LocalBridge[];
}

// kube-proxy marks packets that it masquerades itself. A second masquerade breaks connections on some kernels.
const KUBE_PROXY_MARK = { value: 0x4000, mask: 0x4000 };
// netavark marks packets that it masquerades so that a container reaches itself at a published port.
const NETAVARK_MARK = { value: 0x2000, mask: 0x2000 };
const MULTICAST: Prefix = { family: 'ipv4', address: '224.0.0.0', length: 4 };

/** The rules of a node. A kind that is switched off is an empty list, so that earlier rules are removed. */
export function planFirewall(input: FirewallInput): FirewallRules {
  const network = networkOf(input.network);
  const subnet = networkOf(input.subnet);
  return {
    postrouting: input.ipMasq ? planPostrouting(network, subnet) : [],
    forward: input.forwardRules ? planForward(network) : [],
    local: input.forwardRules ? planLocal(subnet, input.bridges) : [],
    randomFully: input.randomFully,
    source: planSource(network, subnet),
    direct: input.dockerDirect ? planDirect(network, subnet, input.links) : [],
  };
}

function planPostrouting(network: Prefix, subnet: Prefix): readonly FirewallRule[] {
  const comment = 'flanneld masq';
  return [
    { match: { mark: KUBE_PROXY_MARK }, action: 'return', comment },
    // The source address is kept between containers, in both directions.
    { match: { source: subnet, destination: network }, action: 'return', comment },
    { match: { source: network, destination: subnet }, action: 'return', comment },
    // A container of ours sees the source address of a client outside.
    { match: { notSource: network, destination: subnet }, action: 'return', comment },
    { match: { source: network, notDestination: MULTICAST }, action: 'masquerade', comment },
    // From outside to a container of another node: the answer has to come back through this node.
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

// Users of Docker rely on its networks being apart. With one network there is nothing to tell apart, and packets
// between its containers pass here too where the bridge hands them to iptables.
function planLocal(subnet: Prefix, bridges: readonly LocalBridge[]): readonly FirewallRule[] {
  const names = [...new Set(bridges.map(({ name }) => name))].sort();
  if (names.length < 2) return [];
  return names.map((name) => ({
    match: { source: subnet, destination: subnet, inLink: name, notOutLink: name },
    action: 'return',
    comment: 'twill local',
  }));
}

// Docker, Podman and the CNI plugins masquerade each packet that leaves a network of theirs. A masquerade within our
// subnet stays: a container that reaches a published port of its own network needs it.
function planSource(network: Prefix, subnet: Prefix): readonly FirewallRule[] {
  const comment = 'twill source';
  return [
    { match: { mark: KUBE_PROXY_MARK }, action: 'return', comment },
    { match: { mark: NETAVARK_MARK }, action: 'return', comment },
    { match: { source: subnet, destination: subnet }, action: 'return', comment },
    { match: { source: subnet, destination: network }, action: 'keep-source', comment },
  ];
}

function planDirect(network: Prefix, subnet: Prefix, links: readonly string[]): readonly FirewallRule[] {
  return links.map((inLink) => ({
    match: { inLink, source: network, destination: subnet },
    action: 'accept',
    comment: 'twill direct',
  }));
}

// The nftables table of the tunnel filter, as the text of nft. Pure.
//
//     input        drops packets to the tunnel port that no node has sent, or that are for another address of this host
//     forward      drops packets of our containers to the tunnel ports of nodes: masqueraded, they would be ours
//     output       drops those of users without rights on this host, for the same reason
//     postrouting  marks packets of such users that enter the tunnel: the kernel sends them on in their name
//
// The set `nodes` holds the addresses of all nodes. The set `guarded` holds the port, for some minutes: the rules stop
// to drop by themselves when nobody renews it.
import { formatPrefix } from '../model/ip.ts';
import type { SetName } from '../model/ruleset.ts';
import type { TunnelRules } from '../model/tunnel-filter.ts';

/** A table of our own, whatever the firewall mode is: the sets of iptables need another program. */
export const TUNNEL_TABLE = { family: 'ip', name: 'twill-tunnel' } as const;

/** The set of the addresses of all nodes. */
export const NODES_SET: SetName = { table: TUNNEL_TABLE.name, name: 'nodes' };

/** Our chains there. No other program has chains of these names, so that the changes of others wake nobody. */
export const TUNNEL_CHAINS: readonly string[] = [
  'twill-input',
  'twill-forward',
  'twill-output',
  'twill-postrouting',
];

const TABLE = `${TUNNEL_TABLE.family} ${TUNNEL_TABLE.name}`;
const GUARDED = 'udp dport @guarded';
/** A bit of the packet's mark, from our device to the tunnel. Only a program with CAP_NET_ADMIN can set it. */
const MARK = '0x00002000';
const NOT_MARK = '0xffffdfff';

/** Formats the transaction that makes the table hold exactly this. Only a table that exists can be deleted. */
export function formatTunnelTable(rules: TunnelRules, nodes: Iterable<string>, guardSeconds: number): string {
  const addresses = [...nodes].join(', ');
  const { input, forward, output, postrouting } = planChains(rules);
  return `add table ${TABLE}
delete table ${TABLE}
table ${TABLE} {
  set ${NODES_SET.name} { type ipv4_addr; ${addresses === '' ? '' : `elements = { ${addresses} };`} }
  set guarded { type inet_service; timeout ${guardSeconds}s; elements = { ${rules.tunnel.port} }; }
  ${formatChain('input', -300, input)}
  ${formatChain('forward', -300, forward)}
  ${formatChain('output', -300, output)}
  ${formatChain('postrouting', 300, postrouting)}
}`;
}

// Each packet of the tunnel meets all rules of its hooks, so the cheapest tests that let it pass come first: a packet
// of a node costs one lookup in a set, and one of another port none.
function planChains({ tunnel, network, subnet, addresses }: TunnelRules) {
  const { device, port } = tunnel;
  const toPort = `udp dport ${port}`;
  const addressSet = `{ ${[...new Set(addresses)].join(', ')} }`;
  const ofContainers = `ip saddr ${formatPrefix(network)} ip daddr @nodes`;
  if (device === undefined) {
    // The agent's socket has its port for itself, and peers look at the port. A user may still bind that port of our
    // bridge, whose address is masqueraded.
    return {
      input: [`${toPort} ip saddr != @nodes ip daddr ${addressSet} ${GUARDED} drop`],
      forward: [`${toPort} ${ofContainers} ${GUARDED} drop`],
      output: [`${toPort} ip saddr ${formatPrefix(subnet)} ip daddr @nodes ${GUARDED} drop`],
      postrouting: [],
    };
  }
  // The network identifier in the VXLAN header: other devices of this host may share the port.
  const ofNetwork = `@th,96,24 ${device.vni} ${GUARDED}`;
  return {
    // The kernel's socket receives at all addresses of this host.
    input: [
      `${toPort} ip saddr != @nodes ${ofNetwork} drop`,
      `${toPort} ip daddr != ${addressSet} ${ofNetwork} drop`,
    ],
    forward: [`${toPort} ${ofContainers} ${ofNetwork} drop`],
    output: [
      `${toPort} meta mark & ${MARK} == ${MARK} meta mark set meta mark & ${NOT_MARK} accept`,
      // Packets that the kernel forwards into the tunnel have no user.
      `${toPort} meta skuid != 0 ip daddr @nodes ${ofNetwork} drop`,
    ],
    postrouting: [`oifname "${device.name}" meta skuid != 0 meta mark set meta mark | ${MARK}`],
  };
}

function formatChain(hook: string, priority: number, rules: readonly string[]): string {
  if (rules.length === 0) return '';
  const type = `type filter hook ${hook} priority ${priority}; policy accept;`;
  return `chain twill-${hook} { ${type}\n${rules.map((rule) => `    ${rule}\n`).join('')}  }`;
}

// Says in one line what a foreign chain does to packets of our containers, by which rule, and what helps. Pure.
import type { Traffic } from '../../model/firewall.ts';
import { formatPrefix, networkOf } from '../../model/ip.ts';
import { DOCKER_FLAGS, DOCKER_TABLE } from '../nftables-table.ts';
import type { Finding } from './flow-verdict.ts';

/** Formats findings of one effect of one rule, or of the rules of one chain for single addresses. */
export function formatObstacle(findings: readonly Finding[], traffic: Traffic): string {
  const [first] = findings;
  if (first === undefined) return '';
  const { chain, by, effect, address } = first;
  const range = formatPrefix(networkOf(traffic.network));
  const name = `chain ${chain.name} of ${chain.where}`;
  const place =
    by === undefined ? 'by its policy' : `by the rule "${by.rule}"${placeOf(by.chain, chain.name)}`;
  const packets = packetsOf(findings, range);
  switch (effect) {
    case 'drops':
      return `${name} drops packets ${packets} ${place}; ${remedyOf(first, traffic, range)}`;
    case 'may drop':
      return `${name} may drop packets ${packets} ${place}: it drops all packets that its own rules do not accept`;
    case 'drops an address': {
      const others = new Set(findings.map((each) => each.address)).size - 1;
      const rest = others === 0 ? '' : ` and ${others === 1 ? 'another address' : 'other addresses'}`;
      return `${name} drops packets from other nodes to ${address}${rest} ${place}; ${remedyOf(first, traffic, range)}`;
    }
    case 'rewrites':
      return `${name} gives packets ${packets} another source address ${place}; exempt ${range} there (Docker: --ip-masq=false)`;
  }
}

function placeOf(chain: string, base: string): string {
  return chain === base ? '' : ` of chain ${chain}`;
}

function packetsOf(findings: readonly Finding[], range: string): string {
  const directions = new Set(findings.map(({ flow }) => flow.direction));
  const bridges = new Set(findings.map(({ flow }) => flow.bridge ?? 'containers'));
  const ours = [...bridges].join(', ');
  if (directions.has('from peers') && directions.has('to peers')) return `forwarded within ${range}`;
  if (directions.has('from peers')) return `from other nodes to ${ours}`;
  return directions.has('to peers') ? `from ${ours} to other nodes` : `from ${ours} to the outside`;
}

function remedyOf({ chain, effect, flow }: Finding, traffic: Traffic, range: string): string {
  if (flow.direction === 'to outside')
    return `accept packets from ${formatPrefix(networkOf(traffic.subnet))} there`;
  if (chain.table === DOCKER_TABLE.name) return `start dockerd with ${DOCKER_FLAGS}`;
  if (effect === 'drops an address') {
    return 'run the agent with --docker-direct=auto, or dockerd with --allow-direct-routing';
  }
  if (chain.table === 'firewalld') {
    return `accept ${range} there: firewall-cmd --permanent --zone=trusted --add-source=${range}`;
  }
  // Docker puts its own rules before those of others, but for its chain for the operator.
  const docker = chain.name === 'FORWARD' ? ' (with Docker, in its chain DOCKER-USER)' : '';
  return `accept ${range} there${docker}`;
}

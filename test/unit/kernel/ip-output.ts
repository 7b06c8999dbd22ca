// Parses the network of a host, written nearly as `ip` prints it, so that tests can show hosts as people know them:
//
//     eth0: <UP,LOWER_UP> mtu 1500 ether 52:54:00:00:00:01
//       inet 10.0.2.15/24 secondary
//     default via 10.0.2.2 dev eth0 src 10.0.2.15 metric 100 table 5
//     default nexthop via 10.1.0.0 dev eth0 nexthop via 10.1.0.2 dev eth1 dead
//     get 192.168.77.9: 192.168.77.9 dev eth1 src 192.168.77.1
//
// `get` answers the question of `--iface-can-reach`, `get anywhere` that of policy routing. Links are numbered from 1.
import type {
  HostAddress,
  HostLink,
  HostNetwork,
  HostRoute,
  NextHop,
  WayOut,
} from '../../../agent/kernel/host-network.ts';
import { parsePrefix } from '../../../agent/model/ip.ts';

const SCOPES: Readonly<Record<string, number>> = { global: 0, site: 200, link: 253, host: 254 };

/** Parses a host; throws at a line that it does not understand. */
export function hostNetwork(text: string): HostNetwork {
  const links: HostLink[] = [];
  const addresses: HostAddress[] = [];
  const routes: HostRoute[] = [];
  let [toTarget, outward]: [WayOut | undefined, WayOut | undefined] = [undefined, undefined];
  const indexOf = (name: string): number => {
    const link = links.find((each) => each.name === name);
    if (link === undefined) throw new Error(`no link ${name} above`);
    return link.index;
  };
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '') continue;
    const words = line.split(' ');
    if (/^\S+: </.test(line)) links.push(parseLink(words, links.length + 1));
    else if (words[0] === 'inet') addresses.push(parseInet(words, links.length));
    else if (words[0] === 'get') {
      const way = parseWay(words.slice(2), indexOf);
      if (words[1] === 'anywhere:') outward = way;
      else toTarget = way;
    } else {
      const route = parseHostRoute(words, indexOf);
      if (route !== undefined) routes.push(route);
    }
  }
  const usedBefore = links.flatMap(({ local }) => local ?? []);
  return { links, addresses, routes, toTarget, outward, usedBefore };
}

function after(words: readonly string[], word: string): string | undefined {
  return words.includes(word) ? words[words.indexOf(word) + 1] : undefined;
}

function parseLink(words: readonly string[], index: number): HostLink {
  const flags = (words[1] ?? '').slice(1, -1).split(',');
  return {
    index,
    name: (words[0] ?? '').slice(0, -1),
    type: after(words, 'type'),
    mtuBytes: Number(after(words, 'mtu')),
    mac: after(words, 'ether'),
    isUp: flags.includes('UP'),
    hasCarrier: flags.includes('LOWER_UP'),
    isLoopback: flags.includes('LOOPBACK'),
    local: after(words, 'local'),
  };
}

function parseInet(words: readonly string[], link: number): HostAddress {
  // `inet 10.0.0.1 peer 10.0.0.2/32`: the length is that of the peer's network.
  const own = parsePrefix(words[1]?.includes('/') === true ? words[1] : `${words[1]}/32`);
  if (own === undefined) throw new Error(`not an address: ${words.join(' ')}`);
  return {
    link,
    address: own.address,
    length: own.length,
    scope: SCOPES[after(words, 'scope') ?? 'global'] ?? 0,
    isSecondary: words.includes('secondary'),
    isDeprecated: words.includes('deprecated'),
  };
}

function parseHops(words: readonly string[], indexOf: (name: string) => number): readonly NextHop[] {
  return words
    .join(' ')
    .split(' nexthop ')
    .map((text) => text.split(' '))
    .flatMap((part) => {
      const dev = after(part, 'dev');
      // `via inet6 fe80::1`: a gateway of the other family.
      const via = after(part, 'via') === 'inet6' ? after(part, 'inet6') : after(part, 'via');
      return dev === undefined ? [] : [{ link: indexOf(dev), via, isDead: part.includes('dead') }];
    });
}

// As the reader does: neither routes that lead nowhere, nor those over a gateway to a part of the world.
function parseHostRoute(words: readonly string[], indexOf: (name: string) => number): HostRoute | undefined {
  const [first = ''] = words;
  if (['blackhole', 'unreachable', 'prohibit'].includes(first)) return undefined;
  const dst = first === 'default' ? '0.0.0.0/0' : first.includes('/') ? first : `${first}/32`;
  const prefix = parsePrefix(dst);
  if (prefix === undefined) throw new Error(`not a route: ${words.join(' ')}`);
  const hops = parseHops(words, indexOf);
  if (prefix.length > 0 && hops.some(({ via }) => via !== undefined)) return undefined;
  const mtu = after(words, 'mtu') === 'lock' ? after(words, 'lock') : after(words, 'mtu');
  return {
    dst: prefix,
    isMain: (after(words, 'table') ?? 'main') === 'main',
    metric: Number(after(words, 'metric') ?? 0),
    source: after(words, 'src'),
    mtuBytes: mtu === undefined ? undefined : Number(mtu),
    hops,
  };
}

function parseWay(words: readonly string[], indexOf: (name: string) => number): WayOut | undefined {
  const dev = after(words, 'dev');
  if (dev === undefined) return undefined;
  return {
    link: indexOf(dev),
    via: after(words, 'via'),
    source: after(words, 'src'),
    isLocal: words[0] === 'local',
  };
}

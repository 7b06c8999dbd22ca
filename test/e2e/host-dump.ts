// Everything about a host's network that an agent could change, as text to compare two moments.
import type { Namespace } from '../lab/namespace.ts';
import { waitFor } from '../lab/wait.ts';

const COMMANDS: readonly (readonly string[])[] = [
  ['ip', '-details', '-oneline', 'link'],
  ['ip', '-oneline', 'address'],
  ['ip', 'route', 'show', 'table', 'all'],
  ['ip', '-6', 'route', 'show', 'table', 'all'],
  ['ip', 'rule'],
  ['ip', 'neighbour', 'show', 'nud', 'permanent'],
  ['bridge', 'fdb'],
  ['nft', '--stateless', 'list', 'ruleset'],
  ['iptables-save'],
  ['iptables-legacy-save'],
];

/**
 * The host's network as text. Counters, dates and ages, which change by themselves, are left out. The dump waits for
 * tentative addresses, because the kernel changes more with them.
 */
export async function dumpHost({ run }: Namespace): Promise<string> {
  await waitFor('all addresses are settled', 5_000, async () => {
    return !(await run(['ip', '-oneline', 'address'])).includes('tentative');
  });
  const texts = await Promise.all(COMMANDS.map((argv) => run(argv)));
  return COMMANDS.map((argv, index) => `$ ${argv.join(' ')}\n${steady(texts[index] ?? '')}`).join('\n');
}

function steady(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.replaceAll(/\[\d+:\d+\]/g, '[-]').replaceAll(/\w+_timer +[\d.]+/g, ''))
    .join('\n');
}

/** Foreign objects of each kind that an agent makes; the agent must not change them. */
export async function addForeignThings({ run, ip }: Namespace): Promise<void> {
  await ip(
    'link add flannel.other type bridge',
    'link set flannel.other addrgenmode none',
    'link set flannel.other up',
    'link add vx9 type vxlan id 9 dstport 4790 local 192.168.77.1 dev eth0',
    'link set vx9 addrgenmode none',
    'link set vx9 up',
    'addr add 10.99.0.1/24 dev flannel.other',
    'route add 10.98.0.0/24 via 192.168.77.254 proto static',
    'route add 10.5.250.0/24 via 192.168.77.254 proto static',
    'neigh add 10.99.0.9 lladdr 02:00:00:00:00:09 dev flannel.other nud permanent',
  );
  await run(['bridge', 'fdb', 'append', '02:00:00:00:00:09', 'dev', 'vx9', 'dst', '192.168.77.250', 'self']);
  await run(['iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', '10.99.0.0/24', '-j', 'MASQUERADE']);
  await run(['iptables', '-N', 'OTHERS']);
  await run(['iptables', '-A', 'FORWARD', '-j', 'OTHERS']);
  // As Docker leaves both variants of iptables when its container has ended.
  for (const program of ['iptables', 'iptables-legacy']) {
    await run([program, '-N', 'DOCKER-FORWARD']);
    await run([program, '-t', 'raw', '-A', 'PREROUTING', '-d', '10.99.0.2', '-j', 'DROP']);
  }
  await run(['nft', 'add', 'table', 'ip', 'others']);
  await run(['nft', 'add', 'chain', 'ip', 'others', 'post', '{ type nat hook postrouting priority 100 ; }']);
}

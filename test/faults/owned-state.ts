// The expected state of a node's kernel by the leases in the datastore, and its actual state, both as lines of text.
// The expected state is computed again here, by other means than the agent's, so that a mistake of the agent shows.
import { readFile } from 'node:fs/promises';
import type { Host } from '../lab/host.ts';
import type { StoredLease } from '../lab/stored-leases.ts';

export type BackendName = 'vxlan' | 'host-gw' | 'udp';

const ROUTE_PROTOCOL = '84';
/** Growth of a packet by its encapsulation. */
const OVERHEAD_BYTES: Readonly<Record<BackendName, number>> = { vxlan: 50, 'host-gw': 0, udp: 28 };

const LISTS = `link show
addr show
route show table all proto ${ROUTE_PROTOCOL}
neigh show nud permanent
`;

interface Link {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly address?: string;
  readonly linkinfo?: { readonly info_kind: string; readonly info_data?: VxlanData };
}

interface VxlanData {
  readonly id?: number;
  readonly port?: number;
  readonly local?: string;
  readonly learning?: boolean;
}

interface Address {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number }[];
}

interface Route {
  readonly type: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly flags: readonly string[];
}

interface Neighbour {
  readonly dst: string;
  readonly dev: string;
  readonly lladdr: string;
}

interface FdbEntry {
  readonly mac: string;
  readonly ifname: string;
  readonly dst?: string;
}

/** The state of a host: its overlay, and the underlay that the overlay must fit. */
export interface OwnedState {
  /** The host's own address on eth0, and the MTU of eth0; the address is undefined if there is none. */
  readonly underlay: {
    readonly address: string | undefined;
    readonly mtuBytes: number;
    /** Subnets on links of others, such as docker0: their connected routes are never replaced. */
    readonly connected: readonly string[];
  };
  /** The agent's links, addresses, routes, neighbours, fdb entries and subnet.env, sorted. */
  readonly lines: readonly string[];
}

/** Reads the state of a host. */
export async function readOwnedState(host: Host): Promise<OwnedState> {
  const [text, fdbText, env] = await Promise.all([
    host.namespace.run(['ip', '-4', '-details', '-json', '-batch', '-'], { input: LISTS }),
    host.namespace.run(['bridge', '-json', 'fdb', 'show']),
    host.subnetEnv(),
  ]);
  const lists = text.trim().split('\n');
  const list = <T>(index: number): readonly T[] => JSON.parse(lists[index] || '[]') as readonly T[];
  const links = list<Link>(0);
  const addresses = list<Address>(1);
  const eth0 = links.find(({ ifname }) => ifname === 'eth0');
  const isOurs = (name: string): boolean => name.startsWith('flannel');
  const lines = [
    ...links.filter(({ ifname }) => isOurs(ifname)).map(linkLine),
    ...addresses
      .filter(({ ifname }) => isOurs(ifname))
      .flatMap(({ ifname, addr_info: all }) =>
        all.map((each) => `addr ${each.local}/${each.prefixlen} dev ${ifname}`),
      ),
    ...list<Route>(2).map(routeLine),
    ...list<Neighbour>(3)
      .filter(({ dev }) => isOurs(dev))
      .map(({ dst, dev, lladdr }) => `neigh ${dst} lladdr ${lladdr} dev ${dev}`),
    ...(JSON.parse(fdbText || '[]') as readonly FdbEntry[])
      .filter(({ ifname }) => isOurs(ifname))
      .map(({ mac, ifname, dst }) => `fdb ${mac} dst ${dst} dev ${ifname}`),
    `env ${env?.subnet} mtu ${env?.mtuBytes}`,
  ];
  return {
    underlay: {
      address: addresses.find(({ ifname }) => ifname === 'eth0')?.addr_info.find(isHostsOwn)?.local,
      mtuBytes: eth0?.mtu ?? 0,
      connected: addresses
        .filter(({ ifname }) => !isOurs(ifname))
        .flatMap(({ addr_info: all }) =>
          all.map(({ local, prefixlen }) => `${local.replace(/\.\d+$/, '.0')}/${prefixlen}`),
        ),
    },
    lines: lines.sort(),
  };
}

/** Virtual addresses of a lab are of their own network. */
function isHostsOwn({ prefixlen }: Address['addr_info'][number]): boolean {
  return prefixlen < 32;
}

function linkLine({ ifname, flags, mtu, address, linkinfo }: Link): string {
  const start = `link ${ifname} ${linkinfo?.info_kind} ${flags.includes('UP') ? 'up' : 'down'} mtu ${mtu}`;
  const { id = 0, port = 0, local = '', learning = true } = linkinfo?.info_data ?? {};
  return linkinfo?.info_kind === 'vxlan'
    ? `${start} mac ${address} vni ${id} port ${port} local ${local} learning ${learning}`
    : start;
}

function routeLine({ type, dst, gateway, dev, flags }: Route): string {
  const via = gateway === undefined ? '' : ` via ${gateway}`;
  return `route ${type} ${dst}${via} dev ${dev}${flags.includes('onlink') ? ' onlink' : ''}`;
}

/** The expected state of a host by the leases, or the reason why there is none. */
export function plannedLines(
  backend: BackendName,
  { address, mtuBytes, connected }: OwnedState['underlay'],
  leases: readonly StoredLease[],
): readonly string[] | string {
  if (address === undefined) return 'eth0 has no address';
  const own = leases.filter(({ publicIP }) => publicIP === address);
  const [lease] = own;
  if (lease === undefined || own.length > 1) return `there are ${own.length} leases of ${address}`;
  const peers = leases.filter((each) => each !== lease && each.backendType === backend);
  const routed = peers.filter(({ subnet }) => !connected.includes(subnet));
  const mtu = mtuBytes - OVERHEAD_BYTES[backend];
  const base = baseOf(lease);
  const env = `env ${base.replace(/\.0$/, '.1')}/24 mtu ${mtu}`;
  switch (backend) {
    case 'host-gw':
      return [
        env,
        ...routed.map(({ subnet, publicIP }) => `route unicast ${subnet} via ${publicIP} dev eth0`),
      ].sort();
    case 'udp':
      return [
        env,
        `link flannel0 tun up mtu ${mtu}`,
        `addr ${base}/32 dev flannel0`,
        ...routed.map(({ subnet }) => `route unicast ${subnet} dev flannel0`),
      ].sort();
    case 'vxlan':
      return [
        env,
        `link flannel.1 vxlan up mtu ${mtu} mac ${lease.vtepMac} vni 1 port 8472 local ${address} learning false`,
        `addr ${base}/32 dev flannel.1`,
        ...routed.map((peer) => `route unicast ${peer.subnet} via ${baseOf(peer)} dev flannel.1 onlink`),
        ...peers.flatMap((peer) => [
          `neigh ${baseOf(peer)} lladdr ${peer.vtepMac} dev flannel.1`,
          `fdb ${peer.vtepMac} dst ${peer.publicIP} dev flannel.1`,
        ]),
      ].sort();
  }
}

function baseOf({ subnet }: StoredLease): string {
  return subnet.replace(/\/\d+$/, '');
}

/** The first missing or surplus line of a host, in words; undefined: none. */
export async function wrongLine(
  host: Host,
  backend: BackendName,
  leases: readonly StoredLease[],
): Promise<string | undefined> {
  const state = await readOwnedState(host);
  const planned = plannedLines(backend, state.underlay, leases);
  if (typeof planned === 'string') return `${host.name}: ${planned}`;
  const held = new Set(state.lines);
  const missing = planned.find((line) => !held.has(line));
  if (missing !== undefined) return `${host.name} lacks: ${missing}`;
  const wanted = new Set(planned);
  // The lines are sorted, so equal ones are adjacent.
  const extra = state.lines.find((line, index) => !wanted.has(line) || state.lines[index - 1] === line);
  return extra === undefined ? undefined : `${host.name} has too much: ${extra}`;
}

/** Largest resident memory of a process so far, in KiB. */
export async function peakKibibytes(pid: number): Promise<number> {
  return Number(/VmHWM:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

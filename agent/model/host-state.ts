// What a node's kernel should hold, as a value: a set of objects, each of which is one line in the words of
// `ip` and `bridge`. That line is the object: two objects are equal when their lines are, and what must be
// unique in the kernel is the object's key.

/** A vxlan device. */
export interface VxlanLink {
  readonly kind: 'link';
  readonly type: 'vxlan';
  readonly name: string;
  readonly vni: number;
  /** UDP port. */
  readonly port: number;
  readonly mtuBytes: number;
  /** Lower-case, colons. */
  readonly mac: string;
  /** Source address of the outer packets. */
  readonly local: string;
  /** Name of the underlay link that it is bound to. */
  readonly underlay: string;
  readonly learning: boolean;
  /** Group based policy extension. */
  readonly gbp: boolean;
  /** A desired link is always up; one that was read may be down. */
  readonly up: boolean;
}

/** A TUN device, which outlives the process that reads and writes its packets. */
export interface TunLink {
  readonly kind: 'link';
  readonly type: 'tun';
  readonly name: string;
  readonly mtuBytes: number;
  /** As for a vxlan device. */
  readonly up: boolean;
}

export type Link = VxlanLink | TunLink;

/** An address of one of our own links. */
export interface LinkAddress {
  readonly kind: 'addr';
  /** With length: `10.5.1.0/32`. */
  readonly prefix: string;
  readonly dev: string;
}

/** A route in the main table, marked with our protocol number. */
export interface Route {
  readonly kind: 'route';
  /** `unicast` goes via a gateway, or straight to the link; `blackhole` drops what no other route takes. */
  readonly type: 'unicast' | 'blackhole';
  readonly dst: string;
  /** Undefined for a blackhole, and where every destination is on the link. */
  readonly via: string | undefined;
  /** Undefined for a blackhole. */
  readonly dev: string | undefined;
  /** The gateway is taken as reachable on the link without looking. */
  readonly onlink: boolean;
  /** Undefined: the one that our routes are made with. Another one is found on routes that others left behind. */
  readonly metric?: number;
}

/** A permanent neighbour entry on one of our own links. */
export interface Neighbour {
  readonly kind: 'neigh';
  readonly address: string;
  readonly mac: string;
  readonly dev: string;
}

/** A permanent forwarding entry of one of our own links: frames to `mac` go to the host `dst`. */
export interface FdbEntry {
  readonly kind: 'fdb';
  readonly mac: string;
  readonly dst: string;
  readonly dev: string;
}

export type HostObject = Link | LinkAddress | Route | Neighbour | FdbEntry;

/** All objects that are ours, in no particular order, no two with the same key. */
export type HostState = readonly HostObject[];

/** The object of one key before and after a step; undefined: none. */
export interface ObjectChange {
  readonly before: HostObject | undefined;
  readonly after: HostObject | undefined;
}

/** A step from one wanted host state to the next, by key. */
export type HostStateChanges = ReadonlyMap<string, ObjectChange>;

/** The protocol number that marks our routes in the kernel, so that we can tell them from everybody else's. */
export const ROUTE_PROTOCOL: number = 84;

/** What identifies the object in the kernel: there is at most one of each key. */
export function keyOf(object: HostObject): string {
  switch (object.kind) {
    case 'link':
      return `link ${object.name}`;
    case 'addr':
      return `addr ${object.prefix} ${object.dev}`;
    case 'route':
      return `${object.type === 'blackhole' ? 'blackhole' : 'route'} ${object.dst}${formatMetric(object)}`;
    case 'neigh':
      return `neigh ${object.address} ${object.dev}`;
    case 'fdb':
      return `fdb ${object.mac} ${object.dev}`;
  }
}

/** The object as one line. */
export function formatObject(object: HostObject): string {
  switch (object.kind) {
    case 'link':
      return formatLink(object);
    case 'addr':
      return `addr ${object.prefix} dev ${object.dev}`;
    case 'route':
      return formatRoute(object);
    case 'neigh':
      return `neigh ${object.address} lladdr ${object.mac} dev ${object.dev}`;
    case 'fdb':
      return `fdb ${object.mac} dst ${object.dst} dev ${object.dev}`;
  }
}

function formatLink(link: Link): string {
  const state = link.up ? '' : ' down';
  if (link.type === 'tun') return `link tun ${link.name} mtu ${link.mtuBytes}${state}`;
  const { name, vni, port, mtuBytes, mac, local, underlay } = link;
  const learning = link.learning ? 'learning' : 'nolearning';
  const gbp = link.gbp ? ' gbp' : '';
  return `link vxlan ${name} vni ${vni} port ${port} mtu ${mtuBytes} mac ${mac} local ${local} dev ${underlay} ${learning}${gbp}${state}`;
}

function formatRoute(route: Route): string {
  const { type, dst, via, dev, onlink } = route;
  const metric = formatMetric(route);
  if (type === 'blackhole') return `route blackhole ${dst}${metric}`;
  return `route ${dst}${via === undefined ? '' : ` via ${via}`} dev ${dev}${metric}${onlink ? ' onlink' : ''}`;
}

function formatMetric({ metric }: Route): string {
  return metric === undefined ? '' : ` metric ${metric}`;
}

const KIND_ORDER: readonly HostObject['kind'][] = ['link', 'addr', 'neigh', 'fdb', 'route'];

/** The order in which objects can be made: each after those that it needs. */
export function creationOrder(a: HostObject, b: HostObject): number {
  return KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind);
}

/** The object of `known` that is the same line, else `object` itself: `diff` takes one object for equal at a glance. */
export function recognize(known: ReadonlyMap<string, HostObject>, object: HostObject): HostObject {
  const same = known.get(keyOf(object));
  return same !== undefined && formatObject(same) === formatObject(object) ? same : object;
}

/** The whole state as text, one object a line, in creation order and then by text. */
export function formatHostState(state: HostState): string {
  const lines = [...state]
    .map((object) => ({ object, line: formatObject(object) }))
    .sort((a, b) => creationOrder(a.object, b.object) || compareNatural(a.line, b.line))
    .map(({ line }) => `${line}\n`);
  return lines.join('');
}

// Numbers by their value, so that 10.5.2.0 comes before 10.5.10.0. (Intl.Collator can do it too, for 3 MiB.)
function compareNatural(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(/(\d+)/));
  for (let i = 0; ; i++) {
    const [x, y] = [left?.[i], right?.[i]];
    if (x === undefined || y === undefined) return Number(x !== undefined) - Number(y !== undefined);
    // Odd places hold the digits.
    const order = i % 2 === 1 ? Number(x) - Number(y) : 0;
    if (order !== 0) return order;
    if (x !== y) return x < y ? -1 : 1;
  }
}

/** Name of the link that an object sits on and disappears with; undefined for links and blackhole routes. */
export function linkOf(object: HostObject): string | undefined {
  return object.kind === 'link' ? undefined : object.dev;
}

// The host state: the links and entries that a node's kernel should hold, as a value. An object is one line in the
// words of `ip` and `bridge`: two objects are equal when their lines are. Its key is unique in the kernel.
import { fdbKind } from './kinds/fdb-entry.ts';
import type { EntryKind, LinkKind } from './kinds/kind.ts';
import { addressKind } from './kinds/link-address.ts';
import { neighbourKind } from './kinds/neighbour.ts';
import { routeKind } from './kinds/route.ts';
import { tunKind } from './kinds/tun-link.ts';
import { vxlanKind } from './kinds/vxlan-link.ts';

/** All types of link, by the name that Linux gives them. */
const LINKS = {
  vxlan: vxlanKind,
  tun: tunKind,
};

/** All kinds of entry, in the order in which the kernel can take them. */
const ENTRIES = {
  addr: addressKind,
  neigh: neighbourKind,
  fdb: fdbKind,
  route: routeKind,
};

type LinkOf<K> = K extends LinkKind<infer L> ? L : never;
type EntryOf<K> = K extends EntryKind<infer E> ? E : never;

/** A link of any type in the table. */
export type Link = LinkOf<(typeof LINKS)[keyof typeof LINKS]>;

/** An entry of any kind in the table. */
export type Entry = EntryOf<(typeof ENTRIES)[keyof typeof ENTRIES]>;

export type HostObject = Link | Entry;

/** All objects that are ours, in no particular order, no two with the same key. */
export type HostState = readonly HostObject[];

/** The object of one key before and after a step; undefined: none. */
export interface ObjectChange {
  readonly before: HostObject | undefined;
  readonly after: HostObject | undefined;
}

/** A step from one wanted host state to the next, by key. */
export type HostStateChanges = ReadonlyMap<string, ObjectChange>;

// The same tables with the type of their values widened. The functions below run for every object of a large state:
// they look a kind up and call it, and allocate nothing else.
const LINK_KINDS: Readonly<Record<Link['type'], LinkKind<Link>>> = LINKS;
const ENTRY_KINDS: Readonly<Record<Entry['kind'], EntryKind<Entry>>> = ENTRIES;

/** The object's identity in the kernel, which holds at most one object of each key. */
export function keyOf(object: HostObject): string {
  return object.kind === 'link' ? `link ${object.name}` : ENTRY_KINDS[object.kind].key(object);
}

/** The object as one line. */
export function formatObject(object: HostObject): string {
  if (object.kind !== 'link') return ENTRY_KINDS[object.kind].format(object);
  return `link ${object.type} ${object.name} ${LINK_KINDS[object.type].format(object)}${object.up ? '' : ' down'}`;
}

const CREATION_ORDER: readonly string[] = ['link', ...Object.keys(ENTRIES)];

/** The order in which objects can be made: each after the objects that it needs. */
export function creationOrder(a: HostObject, b: HostObject): number {
  return CREATION_ORDER.indexOf(a.kind) - CREATION_ORDER.indexOf(b.kind);
}

/** Name of the link that an object sits on and disappears with; undefined for links and blackhole routes. */
export function linkOf(object: HostObject): string | undefined {
  return object.kind === 'link' ? undefined : object.dev;
}

/** Name of the link that packets of peers come in by: an overlay device, or one that a route leads to. */
export function arrivalLinkOf(object: HostObject): string | undefined {
  if (object.kind === 'link') return object.name;
  return object.kind === 'route' ? object.dev : undefined;
}

/** Name of the link that an object cannot be made without: the one that it sits on, or its underlay. */
export function linkNeededBy(object: HostObject): string | undefined {
  return object.kind === 'link' ? LINK_KINDS[object.type].underlay(object) : object.dev;
}

/** The link's own MAC; undefined for a type that has none. */
export function macOf(link: Link): string | undefined {
  return 'mac' in link ? link.mac : undefined;
}

/** Whether the link can become `wanted` while it lives; otherwise it must be made anew. */
export function canAlter(link: Link, wanted: Link): boolean {
  return (
    link.type === wanted.type &&
    formatObject(LINK_KINDS[link.type].alter(link, wanted)) === formatObject(wanted)
  );
}

/** Whether a link of ours can have this name. */
export function isOwnName(name: string): boolean {
  return Object.values(LINK_KINDS).some((kind) => kind.isOwnName(name));
}

/** Whether a link with this name and this type, as Linux calls it, is ours. */
export function isOwnType(type: string, name: string): type is Link['type'] {
  return Object.hasOwn(LINK_KINDS, type) && LINK_KINDS[type as Link['type']].isOwnName(name);
}

/** Whether a link name in a rule means links of ours. As in nftables, a last `*` stands for any ending. */
export function matchesOwnName(pattern: string): boolean {
  return isOwnName(pattern) || (pattern.startsWith('flannel') && pattern.endsWith('*'));
}

/**
 * The object of `known` with the same line, else `object` itself: `diff` compares one and the same object at no cost.
 */
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

// Compares numbers by their value, so that 10.5.2.0 comes before 10.5.10.0. Intl.Collator would cost 3 MiB.
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

// What a kernel holds, looked up by what a packet needs next. It is made again when the kernel has changed.
import type { HostObject, Link } from '../../agent/model/host-state.ts';
import { containsPrefix, type Prefix, parsePrefix } from '../../agent/model/ip.ts';
import type { MemoryKernel } from '../fakes/memory-kernel.ts';

type ObjectOf<K extends HostObject['kind']> = Extract<HostObject, { kind: K }>;
export type UnicastRoute = ObjectOf<'route'>;

export interface Ways {
  readonly size: number;
  readonly links: ReadonlyMap<string, Link>;
  /** By destination, without blackholes. */
  readonly routes: ReadonlyMap<string, UnicastRoute>;
  /** By address. */
  readonly neighbours: ReadonlyMap<string, ObjectOf<'neigh'>>;
  /** By MAC. */
  readonly entries: ReadonlyMap<string, ObjectOf<'fdb'>>;
  /** With their lengths. */
  readonly addresses: ReadonlySet<string>;
}

const known = new WeakMap<MemoryKernel, { readonly changes: number; readonly ways: Ways }>();

/** The ways of a kernel as it is now. */
export function waysOf(kernel: MemoryKernel): Ways {
  const before = known.get(kernel);
  if (before?.changes === kernel.changes) return before.ways;
  const ways = collect(kernel.objects());
  known.set(kernel, { changes: kernel.changes, ways });
  return ways;
}

/** A route to a part of `subnet` alone; Linux prefers it. Undefined: there is none. */
export function innerRoute({ routes }: Ways, subnet: Prefix): UnicastRoute | undefined {
  const end = `/${subnet.length}`;
  for (const [dst, route] of routes) {
    // Nearly all routes have the length of a node's subnet.
    if (dst.endsWith(end)) continue;
    const prefix = parsePrefix(dst);
    if (prefix !== undefined && prefix.length > subnet.length && containsPrefix(subnet, prefix)) return route;
  }
  return undefined;
}

/** A route over a device whose neighbour or whose fdb entry is missing; undefined: there is none. */
export function halfIn({ routes, neighbours, entries }: Ways, underlay: string): string | undefined {
  for (const { dst, via, dev } of routes.values()) {
    if (dev === underlay || via === undefined) continue;
    const mac = neighbours.get(via)?.mac;
    if (mac === undefined || !entries.has(mac))
      return `${dst} leads to ${via}, and nobody knows where that is`;
  }
  return undefined;
}

function collect(objects: readonly HostObject[]): Ways {
  const links = new Map<string, Link>();
  const routes = new Map<string, UnicastRoute>();
  const neighbours = new Map<string, ObjectOf<'neigh'>>();
  const entries = new Map<string, ObjectOf<'fdb'>>();
  const addresses = new Set<string>();
  for (const object of objects) {
    if (object.kind === 'link') links.set(object.name, object);
    else if (object.kind === 'route') {
      if (object.type === 'unicast') routes.set(object.dst, object);
    } else if (object.kind === 'neigh') neighbours.set(object.address, object);
    else if (object.kind === 'fdb') entries.set(object.mac, object);
    else addresses.add(object.prefix);
  }
  return { size: objects.length, links, routes, neighbours, entries, addresses };
}

/** Whether no packet for another host may go to this address. `own`: that of the host itself. */
export function isNoPeer(address: string, own: string): boolean {
  const first = Number(address.split('.')[0]);
  const isMulticast = first >= 224 && first < 240;
  return address === own || first === 0 || first === 127 || isMulticast || address === '255.255.255.255';
}

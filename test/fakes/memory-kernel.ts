// A kernel in memory that refuses the same changes as Linux. One suite tests it and the real kernel, so that results of
// the simulation hold for Linux.
import { type Channel, createChannel } from '../../agent/base/channel.ts';
import { TwillError } from '../../agent/base/errors.ts';
import {
  formatHostState,
  formatObject,
  type HostObject,
  keyOf,
  type Link,
  linkNeededBy,
  linkOf,
  macOf,
} from '../../agent/model/host-state.ts';
import { containsAddress, parsePrefix } from '../../agent/model/ip.ts';
import type { Change, ChangeFailure, Kernel, KernelEvent } from '../../agent/model/kernel.ts';
import type { Route } from '../../agent/model/kinds/route.ts';

/** A kernel that tests can look into and break. */
export interface MemoryKernel extends Kernel {
  /** The state as text. */
  print(): string;
  /** The state. */
  objects(): readonly HostObject[];
  /** Deletes an object behind the reconciler's back, with everything on it. */
  vanish(key: string): void;
  /** Adds an object behind the reconciler's back, without a check. */
  intrude(object: HostObject): void;
  /** Adds a route of another program, in place of one of ours. It is never read, and refuses a route with its key. */
  plant(route: Route): void;
  /** Deletes such a route. */
  uproot(key: string): void;
  /** The planted objects that still exist, as text. */
  foreign(): string;
  /** Sets a link down behind the reconciler's back. Linux then drops its routes and neighbours. */
  takeDown(name: string): void;
  /** The kernel refuses changes whose key matches; undefined: none. */
  refuse: RegExp | undefined;
  /** Number of reads of the whole state. */
  readonly reads: number;
  /** Number of changes of the state. */
  readonly changes: number;
}

/** The underlay that exists from the start: a link with a connected prefix. */
export interface MemoryUnderlay {
  readonly name: string;
  readonly prefix: string;
}

/** The reason for which Linux refuses a change; undefined: it accepts. */
type Refusal = readonly [errno: string, why: string] | undefined;

const NO_DEVICE: Refusal = ['ENODEV', 'no such device'];
const EXISTS: Refusal = ['EEXIST', 'file already exists'];
const INVALID: Refusal = ['EINVAL', 'invalid argument'];

export function createMemoryKernel(underlay: MemoryUnderlay): MemoryKernel {
  const objects = new Map<string, HostObject>();
  const planted = new Map<string, Route>();
  let plantedText: string | undefined;
  const watchers = new Set<Channel<KernelEvent>>();
  let reads = 0;
  let changes = 0;

  const tell = (event: KernelEvent): void => {
    for (const watcher of watchers) watcher.push(event);
  };
  const put = (object: HostObject): void => {
    changes++;
    objects.set(keyOf(object), object);
    tell({ type: 'written', object });
  };
  const drop = (key: string, silently = false): void => {
    const object = objects.get(key);
    if (object === undefined) return;
    changes++;
    objects.delete(key);
    const line = object.kind === 'route' ? formatObject(object) : undefined;
    if (!silently) tell({ type: 'gone', key, line });
  };
  // Linux reports no route that goes with its link: a watcher must infer it from the link.
  const dropOn = (name: string): void => {
    for (const [key, object] of objects) if (linkOf(object) === name) drop(key, object.kind === 'route');
  };
  const vanish = (key: string): void => {
    const object = objects.get(key);
    drop(key);
    if (object?.kind === 'link') dropOn(object.name);
  };
  const dropNeighbours = (name: string): void => {
    for (const [key, object] of objects) if (object.kind === 'neigh' && object.dev === name) drop(key);
  };
  const linkIsUp = (name: string | undefined): boolean => {
    if (name === underlay.name) return true;
    const link = objects.get(`link ${name}`);
    return link?.kind === 'link' && link.up;
  };
  const linkExists = (name: string | undefined): boolean =>
    name === underlay.name || objects.has(`link ${name}`);

  const refusalOf = ({ op, object }: Change): Refusal => {
    const needed = linkNeededBy(object);
    if (needed !== undefined && !linkExists(needed)) return NO_DEVICE;
    if (object.kind === 'route') return routeRefusal(object) ?? takenRefusal(op, object);
    return object.kind === 'link' ? linkRefusal(op, object) : undefined;
  };
  const linkRefusal = (op: Change['op'], link: Link): Refusal => {
    if (op === 'add' && objects.has(keyOf(link))) return EXISTS;
    if (op === 'alter' && !objects.has(keyOf(link))) return NO_DEVICE;
    for (const other of objects.values()) if (other.kind === 'link' && clash(link, other)) return EXISTS;
    return undefined;
  };
  const routeRefusal = ({ type, via, dev, onlink }: Route): Refusal => {
    if (type === 'blackhole') return undefined;
    if (!linkIsUp(dev)) return ['ENETDOWN', 'network is down'];
    return onlink || via === undefined || isConnected(via)
      ? undefined
      : ['ENETUNREACH', 'network is unreachable'];
  };

  const takenRefusal = (op: Change['op'], route: Route): Refusal => {
    const holder = planted.get(keyOf(route));
    if (holder === undefined || op !== 'add') return undefined;
    const via = holder.via === undefined ? '' : ` via ${holder.via}`;
    return ['EEXIST', `${route.dst} is a route of another program:${via} dev ${holder.dev} proto static`];
  };

  const make = ({ op, object }: Change): void => {
    const before = objects.get(keyOf(object));
    if (object.kind === 'link' && before?.kind === 'link') {
      if (op === 'replace') vanish(keyOf(object));
      // Linux drops all neighbours of a link whose own MAC changes.
      else if (macOf(before) !== macOf(object)) dropNeighbours(object.name);
    }
    put(object);
  };

  const isConnected = (via: string): boolean => {
    const prefix = parsePrefix(underlay.prefix);
    return prefix !== undefined && containsAddress(prefix, via);
  };

  return {
    refuse: undefined,
    get reads() {
      return reads;
    },
    get changes() {
      return changes;
    },
    print: () => formatHostState([...objects.values()]),
    objects: () => [...objects.values()],
    vanish,
    intrude: put,
    plant(route) {
      const key = keyOf(route);
      planted.set(key, route);
      plantedText = undefined;
      drop(key, true);
      tell({ type: 'foreign', key });
    },
    uproot(key) {
      planted.delete(key);
      plantedText = undefined;
      tell({ type: 'foreign', key });
    },
    foreign: () => (plantedText ??= formatHostState([...planted.values()])),
    takeDown(name) {
      const link = objects.get(`link ${name}`);
      if (link?.kind !== 'link') return;
      put({ ...link, up: false });
      for (const [key, object] of objects) {
        if (object.kind === 'route' && object.dev === name) drop(key, true);
      }
      dropNeighbours(name);
    },
    async read() {
      reads++;
      return [...objects.values()];
    },
    async apply(wanted) {
      const failures: ChangeFailure[] = [];
      for (const change of wanted) {
        const key = keyOf(change.object);
        const isDelete = change.op === 'delete';
        const refusal = this.refuse?.test(key) === true ? INVALID : isDelete ? undefined : refusalOf(change);
        if (refusal !== undefined) {
          failures.push(failureOf(change, refusal));
          // The old route is no way to where the new one was to lead.
          if (change.before?.kind === 'route') drop(key);
        } else if (isDelete) vanish(key);
        else make(change);
      }
      return failures;
    },
    async *watch(signal) {
      const channel = createChannel<KernelEvent>('kernel events', 100_000);
      watchers.add(channel);
      channel.push({ type: 'unknown' });
      signal.addEventListener('abort', () => channel.close(), { once: true });
      try {
        yield* channel;
      } finally {
        watchers.delete(channel);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

// Two vxlan devices cannot share VNI and port.
function clash(a: Link, b: Link): boolean {
  if (a.type !== 'vxlan' || b.type !== 'vxlan') return false;
  return a.name !== b.name && a.vni === b.vni && a.port === b.port;
}

function failureOf(change: Change, [errno, why]: NonNullable<Refusal>): ChangeFailure {
  const what = `cannot ${change.op} ${formatObject(change.object)}: ${why} (${errno})`;
  return { change, error: new TwillError('host', what, { errno }) };
}

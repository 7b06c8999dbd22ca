// A kernel in memory that refuses what Linux refuses. It is held to the same suite as the real one, so that what
// is shown with it in a simulation is true of Linux.
import { type Channel, createChannel } from '../../agent/base/channel.ts';
import { TwillError } from '../../agent/base/errors.ts';
import {
  formatHostState,
  formatObject,
  type HostObject,
  keyOf,
  linkOf,
} from '../../agent/model/host-state.ts';
import { containsAddress, parsePrefix } from '../../agent/model/ip.ts';
import type { Change, ChangeFailure, Kernel, KernelEvent } from '../../agent/model/kernel.ts';

/** A kernel that tests can look into and break. */
export interface MemoryKernel extends Kernel {
  /** The state as text. */
  print(): string;
  /** The state. */
  objects(): readonly HostObject[];
  /** Takes an object away behind the reconciler's back, with what sits on it. */
  vanish(key: string): void;
  /** Makes it appear behind the reconciler's back, checking nothing. */
  intrude(object: HostObject): void;
  /** Makes something of somebody else's: it is never read, but a route of ours takes the place of one like it. */
  plant(object: HostObject): void;
  /** What was planted and is still there, as text. */
  foreign(): string;
  /** Takes a link down behind the reconciler's back, and with it what Linux then forgets: routes and neighbours. */
  takeDown(name: string): void;
  /** Changes whose key matches are refused from now on; undefined: none. */
  refuse: RegExp | undefined;
  /** How often the whole state was read. */
  readonly reads: number;
}

/** The underlay that exists from the start: a link with a connected prefix. */
export interface MemoryUnderlay {
  readonly name: string;
  readonly prefix: string;
}

const macOf = (object: HostObject | undefined): string | undefined =>
  object?.kind === 'link' && object.type === 'vxlan' ? object.mac : undefined;

export function createMemoryKernel(underlay: MemoryUnderlay): MemoryKernel {
  const objects = new Map<string, HostObject>();
  const planted = new Map<string, HostObject>();
  let plantedText: string | undefined;
  const watchers = new Set<Channel<KernelEvent>>();
  let reads = 0;

  const tell = (key: string, object: HostObject | undefined): void => {
    const line = object === undefined ? undefined : formatObject(object);
    for (const watcher of watchers) watcher.push({ type: 'object', key, line });
  };
  const put = (object: HostObject): void => {
    objects.set(keyOf(object), object);
    tell(keyOf(object), object);
  };
  const drop = (key: string, silently = false): void => {
    if (objects.delete(key) && !silently) tell(key, undefined);
  };
  // Of routes that go with their link, Linux tells nothing: that is left to whoever hears of the link.
  const dropOn = (name: string): void => {
    for (const [key, object] of objects) if (linkOf(object) === name) drop(key, object.kind === 'route');
  };
  // Linux forgets who is where when the address of its own end changes.
  const dropNeighbours = (name: string): void => {
    for (const [key, object] of objects) if (object.kind === 'neigh' && object.dev === name) drop(key);
  };
  const refuse = (change: Change, errno: string, why: string): ChangeFailure => ({
    change,
    error: new TwillError('host', `cannot ${change.op} ${formatObject(change.object)}: ${why} (${errno})`, {
      errno,
    }),
  });

  const linkIsUp = (name: string | undefined): boolean => {
    if (name === underlay.name) return true;
    const link = objects.get(`link ${name}`);
    return link?.kind === 'link' && link.up;
  };
  const linkExists = (name: string | undefined): boolean =>
    name === underlay.name || objects.has(`link ${name}`);

  const put_ = (change: Change): ChangeFailure | undefined => {
    const { op, object } = change;
    switch (object.kind) {
      case 'link': {
        if (object.type === 'vxlan' && !linkExists(object.underlay))
          return refuse(change, 'ENODEV', 'no such device');
        if (op === 'add' && objects.has(keyOf(object)))
          return refuse(change, 'EEXIST', 'file already exists');
        if (op === 'alter' && !objects.has(keyOf(object))) return refuse(change, 'ENODEV', 'no such device');
        const clash = [...objects.values()].some(
          (other) =>
            object.type === 'vxlan' &&
            other.kind === 'link' &&
            other.type === 'vxlan' &&
            other.name !== object.name &&
            other.vni === object.vni &&
            other.port === object.port,
        );
        if (clash) return refuse(change, 'EEXIST', 'file already exists');
        if (op === 'replace') {
          drop(keyOf(object));
          dropOn(object.name);
        }
        const before = objects.get(keyOf(object));
        if (macOf(before) !== macOf(object)) dropNeighbours(object.name);
        break;
      }
      case 'route':
        if (object.type === 'blackhole') break;
        if (!linkExists(object.dev)) return refuse(change, 'ENODEV', 'no such device');
        if (!linkIsUp(object.dev)) return refuse(change, 'ENETDOWN', 'network is down');
        if (!object.onlink && object.via !== undefined && !isConnected(object.via))
          return refuse(change, 'ENETUNREACH', 'network is unreachable');
        // A route is made by a request that replaces whatever leads to the same destination.
        if (planted.delete(keyOf(object))) plantedText = undefined;
        break;
      default:
        if (!linkExists(object.dev)) return refuse(change, 'ENODEV', 'no such device');
    }
    put(object);
    return undefined;
  };

  const isConnected = (via: string | undefined): boolean => {
    const prefix = parsePrefix(underlay.prefix);
    return via !== undefined && prefix !== undefined && containsAddress(prefix, via);
  };

  return {
    refuse: undefined,
    get reads() {
      return reads;
    },
    print: () => formatHostState([...objects.values()]),
    objects: () => [...objects.values()],
    vanish(key) {
      const object = objects.get(key);
      drop(key);
      if (object?.kind === 'link') dropOn(object.name);
    },
    intrude: put,
    plant(object) {
      planted.set(keyOf(object), object);
      plantedText = undefined;
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
    async apply(changes) {
      const failures: ChangeFailure[] = [];
      for (const change of changes) {
        const key = keyOf(change.object);
        if (this.refuse?.test(key) === true)
          failures.push(refuse(change, 'EPERM', 'operation not permitted'));
        else if (change.op === 'delete') this.vanish(key);
        else {
          const failure = put_(change);
          if (failure !== undefined) failures.push(failure);
        }
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

// All Nodes of a cluster as the leases of peers, and this node's own Node beside them. One list and one watch serve
// both.
//
// A peer goes when its Node was deleted, or when a complete list lacks it. A Node that loses flannel's marks, or has a
// malformed value, keeps the lease that it had: others write back old copies of whole Nodes. Most changes of a Node are
// heartbeats, of which nobody is told.
//
// A list that is older than one seen before, or that lacks this node's own Node, needs a second one to confirm it.
// Where the API does not answer at the start, the Nodes that were seen before the last reboot are the first ones.
import { createHash } from 'node:crypto';
import { type Bell, createBell } from '../base/bell.ts';
import type { Clock } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import type { Lease } from '../model/lease.ts';
import type { LeaseSource, MalformedEntry, StoreEvent } from '../model/lease-source.ts';
import type { AnnotationNames } from './annotation-names.ts';
import type { ApiClient, Reader } from './api/client.ts';
import { type FollowEvent, follow } from './api/follow.ts';
import type { ApiList } from './api/list.ts';
import { NODES } from './api/resource.ts';
import { LIMITS } from './limits.ts';
import type { CachedNodes } from './node-cache.ts';
import { formatPeer, readPeer } from './node-lease.ts';
import { createNodeReader, type NodeObject } from './node-object.ts';

export interface NodeWatchOptions {
  /** Disposed of with the watch. */
  readonly client: ApiClient;
  /** The name of this node's own Node, which is among no leases. */
  readonly nodeName: string;
  readonly names: AnnotationNames;
  /** The text of the network configuration. It is a file of the node, and stays as it is until the next start. */
  readonly config: string;
  /** The first Nodes; undefined: the first list tells them. */
  readonly last?: CachedNodes | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

const LAST_IN_USE = 'the API server has not answered since the start: the Nodes of the last run are in use';

interface Peer {
  readonly uid: string;
  /** Of all that a lease is made of, to compare. The text itself would be a third of what is kept. */
  readonly digest: string;
  /** Undefined: it has none, or none that is well-formed. */
  readonly lease: Lease | undefined;
  readonly malformed: MalformedEntry | undefined;
}

/** What is kept of a Node: all of the own one, and of another one the peer that it is. */
type Seen =
  | { readonly name: string; readonly own: NodeObject }
  | { readonly name: string; readonly own: undefined; readonly peer: Peer };

/** Tells of the own Node: it came, changed, or is gone (undefined). Heartbeats count as changes. */
export type OwnListener = (node: NodeObject | undefined) => void;

export class NodeWatch implements LeaseSource {
  readonly lengths = 'any';
  /** Rung when a Node has changed, but for its heartbeats. */
  readonly changed: Bell;
  readonly #options: NodeWatchOptions;
  readonly #read: Reader<Seen>;
  readonly #hurry: Bell;
  #peers = new Map<string, Peer>();
  #own: NodeObject | undefined;
  #listener: OwnListener | undefined;
  /** Whether a list was believed. */
  #isKnown = false;
  /** Of the newest list or change that was seen, as a number. */
  #version = 0;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
    this.#hurry = createBell(options.clock);
    this.changed = createBell(options.clock);
    const readNode = createNodeReader(options.names);
    // Whole Nodes are garbage one by one while a list arrives.
    this.#read = (object, readWhole) => {
      const node = readNode(object);
      if (node === undefined) return undefined;
      const { name } = node;
      // Of the own Node a condition counts, too, which is in its status.
      if (name === options.nodeName) return { name, own: readNode(readWhole()) ?? node };
      return { name, own: undefined, peer: peerOf(node, this.#peers.get(name)) };
    };
  }

  /** Undefined: not known yet, or it does not exist. */
  get own(): NodeObject | undefined {
    return this.#own;
  }

  /** From now on `listener` is told of the own Node, during `watch`. */
  listen(listener: OwnListener): void {
    this.#listener = listener;
  }

  /** All Nodes that are leases, and the own one; undefined: not known yet. */
  nodes(): CachedNodes | undefined {
    const own = this.#own;
    if (own === undefined) return undefined;
    const peers = [...this.#peers.values()].flatMap(({ lease }) => (lease ? [formatPeer(lease)] : []));
    return { version: this.#version, own, peers };
  }

  async *watch(signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const { client, clock, random, last } = this.#options;
    // Once: a watch that begins anew knows the API's Nodes, and these would bring back those that went.
    if (last !== undefined && !this.#isKnown) {
      yield this.#takeLast(last);
      yield { type: 'disconnected', error: new TwillError('datastore', LAST_IN_USE) };
    }
    /** The reason why the last list was not believed. */
    let doubt: string | undefined;
    while (!signal.aborted) {
      for await (const event of follow(
        { client, resource: NODES, read: this.#read, clock, random, hurry: this.#hurry },
        signal,
      )) {
        if (event.type === 'listed') {
          const reason = this.#doubtOf(event);
          const isConfirmed = reason === doubt;
          doubt = isConfirmed ? undefined : reason;
          if (doubt !== undefined) {
            yield {
              type: 'disconnected',
              error: new TwillError('datastore', `${doubt}: listing them again`),
            };
            break;
          }
          yield this.#takeList(event);
        } else yield* this.#take(event);
      }
      await clock.sleep(LIMITS.secondLookMs * (1 + random() / 2), signal).catch(() => undefined);
    }
  }

  reconnect(): void {
    this.#options.client.reconnect();
    this.#hurry.ring();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#options.client[Symbol.dispose]();
  }

  #doubtOf({ items, resourceVersion }: ApiList<Seen>): string | undefined {
    const { nodeName } = this.#options;
    const isOlder = Number(resourceVersion) < this.#version;
    if (isOlder) return 'the Nodes of the cluster are those of an earlier time';
    const mayBeMissing = this.#isKnown && this.#own === undefined;
    if (mayBeMissing || items.some(({ own }) => own !== undefined)) return undefined;
    return `Node ${nodeName}, which is this node, is not among the Nodes of the cluster`;
  }

  #takeLast({ own, peers, version }: CachedNodes): StoreEvent {
    const items = peers.map((node) => ({
      name: node.name,
      own: undefined,
      peer: peerOf(node, undefined),
    }));
    return this.#takeList({ items: [{ name: own.name, own }, ...items], resourceVersion: String(version) });
  }

  #takeList({ items, resourceVersion }: ApiList<Seen>): StoreEvent {
    const { config } = this.#options;
    this.#peers = new Map(items.flatMap((seen) => (seen.own === undefined ? [[seen.name, seen.peer]] : [])));
    this.#isKnown = true;
    this.#version = Number(resourceVersion) || 0;
    this.#setOwn(items.find(({ own }) => own !== undefined)?.own);
    this.changed.ring();
    const known = [...this.#peers.values()];
    return {
      type: 'snapshot',
      config,
      leases: known.flatMap(({ lease, malformed }) => (lease === undefined || malformed ? [] : lease)),
      malformed: known.flatMap(({ malformed }) => malformed ?? []),
      revision: this.#version,
    };
  }

  #take(event: Exclude<FollowEvent<Seen>, { type: 'listed' }>): readonly StoreEvent[] {
    if (event.type === 'connected' || event.type === 'disconnected') return [event];
    const { object: seen, type } = event;
    const { name } = seen;
    const revision = Number(event.resourceVersion) || 0;
    this.#version = Math.max(this.#version, revision);
    if (seen.own !== undefined) {
      this.#setOwn(type === 'gone' ? undefined : seen.own);
      return [];
    }
    const before = this.#peers.get(name);
    const removed: StoreEvent = { type: 'lease-removed', key: name, revision };
    if (type === 'gone') {
      this.#peers.delete(name);
      this.changed.ring();
      return before === undefined ? [] : [removed];
    }
    const after = seen.peer;
    this.#peers.set(name, after);
    if (after === before) return [];
    this.changed.ring();
    // Made again under its name: nothing of the former Node counts.
    const isNew = before !== undefined && before.uid !== after.uid;
    return [...(isNew ? [removed] : []), ...newsOf(before, after)];
  }

  #setOwn(node: NodeObject | undefined): void {
    if (node === undefined && this.#own === undefined) return;
    if (node === undefined || this.#own === undefined || contentOf(node) !== contentOf(this.#own))
      this.changed.ring();
    this.#own = node;
    this.#listener?.(node);
  }
}

function newsOf(before: Peer | undefined, { lease, malformed }: Peer): readonly StoreEvent[] {
  if (malformed !== undefined) return [{ type: 'malformed', entry: malformed }];
  // It has no marks: its former lease stays.
  if (lease === undefined || lease === before?.lease) return [];
  return [{ type: 'lease', lease }];
}

/** What heartbeats do not change. */
function contentOf({ uid, podCidrs, annotations }: NodeObject): string {
  return JSON.stringify([uid, podCidrs, annotations]);
}

/** The peer that a Node is; `before` itself where nothing has changed but what nobody reads. */
function peerOf(node: NodeObject, before: Peer | undefined): Peer {
  const { uid } = node;
  const digest = createHash('sha256').update(contentOf(node)).digest('base64');
  if (digest === before?.digest) return before;
  const found = readPeer(node);
  const former = before?.uid === uid ? before.lease : undefined;
  if (found === undefined) return { uid, digest, lease: former, malformed: undefined };
  if ('reason' in found) return { uid, digest, lease: former, malformed: found };
  return { uid, digest, lease: found, malformed: undefined };
}

// Watches the kernel, and reduces its messages to events of objects that could be ours and of links that those may
// need. On a busy host each container that comes or goes makes messages: they cost the reconciler nothing.

import { createChannel } from '../../base/channel.ts';
import { type Entry, formatObject, type HostObject, isOwnName, keyOf } from '../../model/host-state.ts';
import type { KernelEvent } from '../../model/kernel.ts';
import { LIMITS } from '../limits.ts';
import { linkNameIn } from './addresses.ts';
import type { EntryCodec, LinkNames } from './codec.ts';
import { ENTRY_CODECS } from './codecs.ts';
import { formatEventFilter } from './event-filter.ts';
import { Protocol, rt } from './library.ts';
import { indexIn, type LinkTable, nameIn, parseOwnLink } from './links.ts';
import { createEventFilter, guardAgainstOverrun, ROUTING } from './overrun.ts';
import { isInMainTable, routeKey } from './routes.ts';
import { BRIDGE, IPV4, openEventSocket } from './socket.ts';

const { LINK, IPV4_IFADDR, IPV4_ROUTE, NEIGH } = rt.MulticastGroups;
const GROUPS = [LINK, IPV4_IFADDR, IPV4_ROUTE, NEIGH];

/** Listens to the kernel. */
export interface Monitor extends Disposable {
  /** Events until `signal` is aborted. The first one is `unknown`. */
  events(signal: AbortSignal): AsyncIterable<KernelEvent>;
  /**
   * Takes the names of a link table. Messages keep them up to date, but some are missed: before, in a pause, by loss.
   * From then on the kernel drops events of links that no table has named.
   */
  learn(links: Pick<LinkTable, 'names' | 'asked'>): void;
  /** Stops listening until `resume`, which gives an event `unknown`. */
  pause(): void;
  resume(): void;
}

/** Takes the index and name of a link that has changed; undefined: any may have changed unheard. */
export type LinkListener = (index: number | undefined, name: string | undefined) => void;

/** Starts to listen. Calls `onLink` for each link that has changed. */
export function openMonitor(onLink: LinkListener): Monitor {
  const names: NamesNow = { own: new Map(), all: new Map() };
  const channel = createChannel<KernelEvent>('kernel events', LIMITS.kernelEvents);
  const socket = openEventSocket(Protocol.ROUTE, 'watch the kernel');
  const unknown = (): void => {
    onLink(undefined, undefined);
    channel.push({ type: 'unknown' });
  };
  // A message of an unknown form means an unknown change.
  socket.on('error', unknown);
  socket.on('invalid', unknown);
  socket.on('message', (messages) => {
    for (const { type, data } of messages) {
      try {
        if (type === NEWLINK || type === DELLINK) onLink(indexIn(data), nameIn(data));
        const event = parseEvent(type, data, names);
        if (event !== undefined) channel.push(event);
      } catch {
        // An exception in the socket's callback would end the process.
        unknown();
      }
    }
  });
  const listen = (): void => {
    for (const group of GROUPS) socket.addMembership(group);
    // Changes from before are found by reading.
    unknown();
  };
  listen();
  const closed = new AbortController();
  const known = { indexes: new Set<number>(), names: new Set<string>(), reader: 'reconciler' } as const;
  const filter = createEventFilter(ROUTING, socket.address().port, closed.signal);
  // Without the guard, an overrun ends the process as it always did.
  guardAgainstOverrun(ROUTING, socket.address().port, unknown, closed.signal).catch(() => undefined);
  return {
    async *events(signal) {
      const stop = (): void => channel.close();
      signal.addEventListener('abort', stop, { once: true });
      try {
        if (!signal.aborted) yield* channel;
      } finally {
        signal.removeEventListener('abort', stop);
      }
    },
    learn({ names: read, asked }) {
      // Names that are missing there stay: a message after the reading may have given them.
      for (const [index, name] of read.own) names.own.set(index, name);
      const before = known.indexes.size + known.names.size;
      for (const [index, name] of read.all) {
        names.all.set(index, name);
        known.indexes.add(index);
        known.names.add(name);
      }
      for (const name of asked) known.names.add(name);
      if (known.indexes.size + known.names.size !== before) filter(formatEventFilter(known));
    },
    pause() {
      onLink(undefined, undefined);
      for (const group of GROUPS) socket.dropMembership(group);
    },
    resume: listen,
    [Symbol.dispose]() {
      closed.abort();
      socket.close();
    },
  };
}

const { NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE, NEWNEIGH, DELNEIGH } = rt.MessageType;
const DELETIONS: ReadonlySet<number> = new Set([DELLINK, DELADDR, DELROUTE, DELNEIGH]);

const CODECS = Object.values<EntryCodec<Entry>>(ENTRY_CODECS);

interface NamesNow extends LinkNames {
  readonly own: Map<number, string>;
  readonly all: Map<number, string>;
}

/**
 * The event that a message means; undefined: it concerns nothing of ours. Keeps `names` up to date. The bytes are
 * looked at first: containers that come and go make many messages, and it takes a tenth of a millisecond to parse one
 * of a link.
 */
function parseEvent(type: number, data: Buffer, names: NamesNow): KernelEvent | undefined {
  const isGone = DELETIONS.has(type);
  switch (type) {
    case NEWLINK:
    case DELLINK:
      return parseLinkEvent(type, data, names);
    case NEWADDR:
    case DELADDR:
      if (data[0] !== IPV4) return undefined;
      if (names.own.has(data.readUInt32LE(4))) break;
      return linkEvent(names.all.get(data.readUInt32LE(4)) ?? linkNameIn(data));
    case NEWNEIGH:
    case DELNEIGH:
      if (!names.own.has(data.readUInt32LE(4))) return undefined;
      break;
    case NEWROUTE:
    case DELROUTE:
      if (!isInMainTable(data)) return undefined;
      break;
    default:
      return undefined;
  }
  const message = rt.parseMessage(type, data);
  for (const codec of CODECS) {
    const entry = codec.parse(message, names[codec.links]);
    if (entry !== undefined && codec.isOurs(message)) return isGone ? gone(entry) : written(entry);
    if (message.kind === 'route') continue;
    if (entry !== undefined) return { type: 'gone', key: keyOf(entry), line: undefined };
  }
  if (message.kind === 'route') {
    const key = routeKey(message);
    return key === undefined ? undefined : { type: 'foreign', key };
  }
  return undefined;
}

function parseLinkEvent(type: number, data: Buffer, names: NamesNow): KernelEvent | undefined {
  // A message of the bridge family describes a port of a bridge, not the link itself.
  if (data[0] === BRIDGE) return undefined;
  const isGone = type === DELLINK;
  const index = indexIn(data);
  const name = nameIn(data);
  const message = isOwnName(name) ? rt.parseMessage(type, data) : undefined;
  const own = message?.kind === 'link' ? parseOwnLink(message, names.all) : undefined;
  if (isGone) names.all.delete(index);
  else names.all.set(index, name);
  if (isGone || own === undefined) names.own.delete(index);
  else names.own.set(index, own.name);
  if (own === undefined) return linkEvent(name);
  return isGone ? { type: 'gone', key: keyOf(own), line: undefined } : written(own);
}

function written(object: HostObject): KernelEvent {
  return { type: 'written', object };
}

// Several routes may have one key: the line tells which of them is gone. The other kinds have one object a key, and
// their messages of deletions are not complete.
function gone(entry: Entry): KernelEvent {
  return { type: 'gone', key: keyOf(entry), line: entry.kind === 'route' ? formatObject(entry) : undefined };
}

function linkEvent(name: string | undefined): KernelEvent | undefined {
  return name === undefined ? undefined : { type: 'link', name };
}

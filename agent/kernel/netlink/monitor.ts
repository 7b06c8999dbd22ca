// Watches the kernel, and reduces its messages to events of objects that could be ours and of links that those may
// need. On a busy host each container that comes or goes makes messages: they cost the reconciler nothing.

import { createChannel } from '../../base/channel.ts';
import { type Entry, formatObject, type HostObject, keyOf } from '../../model/host-state.ts';
import type { KernelEvent } from '../../model/kernel.ts';
import { LIMITS } from '../limits.ts';
import type { EntryCodec, LinkNames } from './codec.ts';
import { ENTRY_CODECS } from './codecs.ts';
import { Protocol, rt } from './library.ts';
import { parseOwnLink } from './links.ts';
import { guardAgainstOverrun, ROUTING } from './overrun.ts';
import { BRIDGE, openEventSocket } from './socket.ts';

const { LINK, IPV4_IFADDR, IPV4_ROUTE, NEIGH } = rt.MulticastGroups;
const GROUPS = [LINK, IPV4_IFADDR, IPV4_ROUTE, NEIGH];

/** Listens to the kernel. */
export interface Monitor extends Disposable {
  /** Events until `signal` is aborted. The first one is `unknown`. */
  events(signal: AbortSignal): AsyncIterable<KernelEvent>;
  /**
   * Takes the names of a link table. Messages keep them up to date, but some are missed: before, in a pause, by loss.
   */
  learn(names: LinkNames): void;
  /** Stops listening until `resume`, which gives an event `unknown`. */
  pause(): void;
  resume(): void;
}

/** Starts to listen. Calls `onLinks` when a link has changed, or may have changed unheard. */
export function openMonitor(onLinks: () => void): Monitor {
  const names: NamesNow = { own: new Map(), all: new Map() };
  const channel = createChannel<KernelEvent>('kernel events', LIMITS.kernelEvents);
  const socket = openEventSocket(Protocol.ROUTE, 'watch the kernel');
  const unknown = (): void => {
    onLinks();
    channel.push({ type: 'unknown' });
  };
  // A message of an unknown form means an unknown change.
  socket.on('error', unknown);
  socket.on('invalid', unknown);
  socket.on('message', (messages) => {
    for (const { type, data } of messages) {
      if (type === NEWLINK || type === DELLINK) onLinks();
      try {
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
    learn(read) {
      // Names that are missing there stay: a message after the reading may have given them.
      for (const [index, name] of read.own) names.own.set(index, name);
      for (const [index, name] of read.all) names.all.set(index, name);
    },
    pause() {
      onLinks();
      for (const group of GROUPS) socket.dropMembership(group);
    },
    resume: listen,
    [Symbol.dispose]() {
      closed.abort();
      socket.close();
    },
  };
}

const { NEWLINK, DELLINK, DELADDR, DELROUTE, DELNEIGH } = rt.MessageType;
const DELETIONS: ReadonlySet<number> = new Set([DELLINK, DELADDR, DELROUTE, DELNEIGH]);

const CODECS = Object.values<EntryCodec<Entry>>(ENTRY_CODECS);

interface NamesNow extends LinkNames {
  readonly own: Map<number, string>;
  readonly all: Map<number, string>;
}

/** The event that a message means; undefined: it concerns nothing of ours. Keeps `names` up to date. */
function parseEvent(type: number, data: Buffer, names: NamesNow): KernelEvent | undefined {
  const message = rt.parseMessage(type, data);
  const isGone = DELETIONS.has(type);
  if (message.kind === 'link') return parseLinkEvent(message, isGone, names);
  for (const codec of CODECS) {
    const entry = codec.parse(message, names[codec.links]);
    if (entry !== undefined) return objectEvent(entry, !isGone && codec.isOurs(message));
  }
  if (message.kind !== 'address') return undefined;
  const index = message.data.index ?? 0;
  return names.own.has(index) ? undefined : linkEvent(names.all.get(index));
}

function parseLinkEvent(message: rt.LinkMessage, isGone: boolean, names: NamesNow): KernelEvent | undefined {
  // A message of the bridge family describes a port of a bridge, not the link itself.
  if (message.data.family === BRIDGE) return undefined;
  const index = message.data.index ?? 0;
  const name = message.attrs.ifname;
  const own = parseOwnLink(message, names.all);
  if (isGone) names.all.delete(index);
  else if (name !== undefined) names.all.set(index, name);
  if (isGone || own === undefined) names.own.delete(index);
  else names.own.set(index, own.name);
  return own === undefined ? linkEvent(name) : objectEvent(own, !isGone);
}

function objectEvent(object: HostObject, isOurs: boolean): KernelEvent {
  return { type: 'object', key: keyOf(object), line: isOurs ? formatObject(object) : undefined };
}

function linkEvent(name: string | undefined): KernelEvent | undefined {
  return name === undefined ? undefined : { type: 'link', name };
}

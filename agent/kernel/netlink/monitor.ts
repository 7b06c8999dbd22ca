// What the kernel tells of changes, reduced to objects that could be ours and to links that such objects may need.
// Containers come and go on a busy host and every one makes messages: they cost the reconciler nothing.
import { Protocol, rt } from 'netlink';
import { createChannel } from '../../base/channel.ts';
import { formatObject, type HostObject, keyOf } from '../../model/host-state.ts';
import type { KernelEvent } from '../../model/kernel.ts';
import { LIMITS } from '../limits.ts';
import { parseLinkAddress } from './addresses.ts';
import { isOwnName, parseOwnLink } from './links.ts';
import { parseNeighbor } from './neighbors.ts';
import { guardAgainstOverrun, ROUTING } from './overrun.ts';
import { isOwnRoute, parseRoute } from './routes.ts';
import { BRIDGE, openEventSocket } from './socket.ts';

const { LINK, IPV4_IFADDR, IPV4_ROUTE, NEIGH } = rt.MulticastGroups;
const GROUPS = [LINK, IPV4_IFADDR, IPV4_ROUTE, NEIGH];

/** Hears what changes in the kernel. */
export interface Monitor extends Disposable {
  /** Events until `signal` is aborted. The first one is `unknown`. */
  events(signal: AbortSignal): AsyncIterable<KernelEvent>;
  /** Hears nothing until `resume`, which says so by an event `unknown`. */
  pause(): void;
  resume(): void;
}

/** Starts to listen. `initialNames` is the table of links at this moment; it is kept up to date inside. */
export function openMonitor(initialNames: ReadonlyMap<number, string>): Monitor {
  const names = new Map(initialNames);
  const channel = createChannel<KernelEvent>('kernel events', LIMITS.kernelEvents);
  const socket = openEventSocket(Protocol.ROUTE, 'watch the kernel');
  const unknown = (): void => channel.push({ type: 'unknown' });
  // Messages of an unknown form: something changed, we do not know what.
  socket.on('error', unknown);
  socket.on('invalid', unknown);
  socket.on('message', (messages) => {
    for (const message of messages) {
      const event = parseEvent(message.type, message.data, names);
      if (event !== undefined) channel.push(event);
    }
  });
  const listen = (): void => {
    for (const group of GROUPS) socket.addMembership(group);
    // What changed before we listened is found by reading.
    unknown();
  };
  listen();
  const closed = new AbortController();
  // Where it cannot be had, an overrun ends the process as it always did.
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
    pause() {
      for (const group of GROUPS) socket.dropMembership(group);
    },
    resume: listen,
    [Symbol.dispose]() {
      closed.abort();
      socket.close();
    },
  };
}

function parseEvent(type: number, data: Buffer, names: Map<number, string>): KernelEvent | undefined {
  const { DELLINK, DELADDR, DELROUTE, DELNEIGH } = rt.MessageType;
  const gone = [DELLINK, DELADDR, DELROUTE, DELNEIGH].includes(type);
  let message: rt.Message;
  try {
    message = rt.parseMessage(type, data);
  } catch {
    // Thrown inside the socket's callback it would end the process.
    return { type: 'unknown' };
  }
  const linkEvent = (name: string | undefined): KernelEvent | undefined =>
    name === undefined ? undefined : { type: 'link', name };
  const event = (object: HostObject | undefined, present: boolean): KernelEvent | undefined =>
    object && { type: 'object', key: keyOf(object), line: present ? formatObject(object) : undefined };
  switch (message.kind) {
    case 'link': {
      // The bridge family's messages tell of ports of bridges, not of the link itself.
      if (message.data.family === BRIDGE) return undefined;
      const index = message.data.index ?? 0;
      const event_ = event(parseOwnLink(message, names), !gone) ?? linkEvent(message.attrs.ifname);
      if (gone) names.delete(index);
      else if (message.attrs.ifname !== undefined) names.set(index, message.attrs.ifname);
      return event_;
    }
    case 'address': {
      const name = names.get(message.data.index ?? 0);
      if (name !== undefined && !isOwnName(name)) return linkEvent(name);
      return event(parseLinkAddress(message, names), !gone);
    }
    case 'route':
      return event(parseRoute(message, names), !gone && isOwnRoute(message));
    case 'neighbor': {
      const parsed = parseNeighbor(message, names);
      return parsed && event(parsed.entry, !gone && parsed.permanent);
    }
    default:
      return undefined;
  }
}

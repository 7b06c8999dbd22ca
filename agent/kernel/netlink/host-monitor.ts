// Watches the links, addresses and routes that the choice of the underlay depends on. An event carries no details; the
// listener reads the interfaces anew.
//
// A busy host has events all day: our own routes by the thousand, a link with every container, other programs' routes.
// None of them is parsed, and none rings anything unless it concerns a link in use.

import { formatEventFilter } from './event-filter.ts';
import { linkIndexOf, parseHostRoute } from './host-messages.ts';
import { Protocol, rt } from './library.ts';
import { createEventFilter, guardAgainstOverrun, ROUTING } from './overrun.ts';
import { BRIDGE, openEventSocket } from './socket.ts';

const { LINK, IPV4_IFADDR, IPV4_ROUTE } = rt.MulticastGroups;

/** The links that the underlay consists of. */
export interface LinksInUse {
  /** Their indexes; undefined: every link may matter. */
  indexes: ReadonlySet<number> | undefined;
  /** To be called after a change of `indexes`. */
  changed(): void;
}

/** Calls `onChange` after each change that may matter, until `signal` is aborted. Fails as `host`. */
export async function watchInterfaces(
  inUse: LinksInUse,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  const socket = openEventSocket(Protocol.ROUTE, 'watch the interfaces');
  try {
    socket.on('error', onChange);
    socket.on('invalid', onChange);
    socket.on('message', (messages) => {
      if (messages.some(({ type, data }) => concerns(type, data, inUse.indexes))) onChange();
    });
    const filter = createEventFilter(ROUTING, socket.address().port, signal);
    inUse.changed = () => {
      const { indexes } = inUse;
      filter(indexes && formatEventFilter({ indexes, names: [], reader: 'underlay' }));
      // Until now the kernel dropped the events of links that may help.
      if (inUse.indexes === undefined) onChange();
    };
    inUse.changed();
    for (const group of [LINK, IPV4_IFADDR, IPV4_ROUTE]) socket.addMembership(group);
    guardAgainstOverrun(ROUTING, socket.address().port, onChange, signal).catch(() => undefined);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    socket.close();
  }
}

const { NEWROUTE, DELROUTE } = rt.MessageType;

/** Whether a message is about these links, or about a default route; undefined: about any link that is no overlay's. */
function concerns(type: number, data: Buffer, links: ReadonlySet<number> | undefined): boolean {
  if (type === NEWROUTE || type === DELROUTE) {
    const route = parseHostRoute(data);
    if (route === undefined) return false;
    return links === undefined || route.dst.length === 0 || route.hops.some(({ link }) => links.has(link));
  }
  // A message of the bridge family describes a port of a bridge, not the link itself.
  return data[0] !== BRIDGE && (links === undefined || links.has(linkIndexOf(data)));
}

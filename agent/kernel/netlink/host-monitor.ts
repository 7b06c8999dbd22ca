// Watches links, addresses and routes: the choice of the underlay depends on them. An event carries no details; the
// listener reads the interfaces anew.

import { ROUTE_PROTOCOL } from '../../model/kinds/route.ts';
import { Protocol, rt } from './library.ts';
import { guardAgainstOverrun, ROUTING } from './overrun.ts';
import { BRIDGE, openEventSocket } from './socket.ts';

const { LINK, IPV4_IFADDR, IPV4_ROUTE } = rt.MulticastGroups;

/** Calls `onChange` after each change that may matter, until `signal` is aborted. Fails as `host`. */
export async function watchInterfaces(onChange: () => void, signal: AbortSignal): Promise<void> {
  const socket = openEventSocket(Protocol.ROUTE, 'watch the interfaces');
  try {
    socket.on('error', onChange);
    socket.on('invalid', onChange);
    socket.on('message', (messages) => {
      if (messages.some(({ type, data }) => matters(type, data))) onChange();
    });
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

// Our own routes arrive by the thousand, and ports of bridges with every container: neither is parsed. A link's message
// begins with its family; the sixth byte of a route's message is its protocol.
function matters(type: number, data: Buffer): boolean {
  const isRoute = type === rt.MessageType.NEWROUTE || type === rt.MessageType.DELROUTE;
  return isRoute ? data[5] !== ROUTE_PROTOCOL : data[0] !== BRIDGE;
}

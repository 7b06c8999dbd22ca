// Watches the rules of nftables, and those of iptables where it is built on nftables. An event carries no details: the
// firewall compares the rules themselves. The old iptables tables give no events.
import { Protocol } from './library.ts';
import { guardAgainstOverrun, NETFILTER } from './overrun.ts';
import { openEventSocket } from './socket.ts';

/** Multicast group of all changes to tables, chains, rules and sets. */
const NFNLGRP_NFTABLES = 7;

/** Calls `onChange` after each change, until `signal` is aborted. Fails as `host` where the kernel has no nftables. */
export async function watchRuleset(onChange: () => void, signal: AbortSignal): Promise<void> {
  const socket = openEventSocket(Protocol.NETFILTER, 'watch the rules of nftables');
  try {
    for (const event of ['error', 'invalid', 'message'] as const) socket.on(event, onChange);
    socket.addMembership(NFNLGRP_NFTABLES);
    const { port } = socket.address();
    guardAgainstOverrun(NETFILTER, port, onChange, signal).catch(() => undefined);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    socket.close();
  }
}

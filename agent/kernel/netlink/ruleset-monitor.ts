// Watches the rules of nftables, and those of iptables where it is built on nftables. The listener decides by table and
// chain whether a change concerns it. The old iptables tables give no events.

import type { ChainsInUse, RulesetChange } from '../../model/ruleset.ts';
import { Protocol } from './library.ts';
import { createEventFilter, guardAgainstOverrun, NETFILTER } from './overrun.ts';
import { parseRulesetChange } from './ruleset.ts';
import { formatRulesetFilter } from './ruleset-filter.ts';
import { openEventSocket } from './socket.ts';

/** Multicast group of all changes to tables, chains, rules and sets. */
const NFNLGRP_NFTABLES = 7;

/**
 * Calls `onChange` after each change of a table, a chain or a rule of the chains in use, until `signal` is aborted.
 * Calls it without a change once it watches, after changes that it missed, and when other chains are in use. Fails as
 * `host` where the kernel has no nftables.
 */
export async function watchRuleset(
  inUse: ChainsInUse,
  onChange: (change?: RulesetChange) => void,
  signal: AbortSignal,
): Promise<void> {
  const socket = openEventSocket(Protocol.NETFILTER, 'watch the rules of nftables');
  const missed = (): void => onChange();
  try {
    socket.on('error', missed);
    socket.on('invalid', missed);
    socket.on('message', (messages) => {
      // An exception in the socket's callback would end the process.
      try {
        for (const message of messages) {
          const change = parseRulesetChange(message);
          if (change !== undefined) onChange(change);
        }
      } catch {
        missed();
      }
    });
    socket.addMembership(NFNLGRP_NFTABLES);
    missed();
    const { port } = socket.address();
    const filter = createEventFilter(NETFILTER, port, signal);
    let passed: ReadonlySet<string> | undefined;
    inUse.changed = () => {
      const { names } = inUse;
      const isCovered =
        passed === undefined || (names !== undefined && [...names].every((name) => passed?.has(name)));
      passed = names;
      filter(names && formatRulesetFilter(names));
      // Until now the kernel dropped the events of chains that matter.
      if (!isCovered) missed();
    };
    inUse.changed();
    guardAgainstOverrun(NETFILTER, port, missed, signal).catch(() => undefined);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    socket.close();
  }
}

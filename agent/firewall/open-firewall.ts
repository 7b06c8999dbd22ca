// Decides which of the kernel's firewalls this node uses, from the network's wish and what is installed.
import { errnoOf, messageOf, TwillError } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import type { Firewall, NodeFirewall } from '../model/firewall.ts';
import { createIptablesFirewall } from './iptables.ts';
import { LIMITS } from './limits.ts';
import { createNftablesFirewall } from './nftables.ts';
import { findObstacles } from './obstacles.ts';

export interface FirewallOptions {
  /** The network's wish. Where its program is missing but the other one is there, the other one is taken. */
  readonly enableNFTables: boolean;
  readonly log: Logger;
  readonly exec: Exec;
}

export interface OpenedFirewall {
  /** The one to use. Its first successful `ensure` also removes what was left in the other mode. */
  readonly active: NodeFirewall;
  /** The other mode, for a complete removal; undefined when its program is not installed. */
  readonly inactive: Firewall | undefined;
}

/**
 * Finds the firewall to use; changes nothing yet. Fails as `host` when neither iptables nor nft is installed.
 */
export async function openFirewall({ enableNFTables, log, exec }: FirewallOptions): Promise<OpenedFirewall> {
  const [iptables, nftables] = await Promise.all([
    isInstalled(exec, 'iptables').then((is) => (is ? createIptablesFirewall({ exec }) : undefined)),
    isInstalled(exec, 'nft').then((is) => (is ? createNftablesFirewall({ exec }) : undefined)),
  ]);
  const obstacles = nftables === undefined ? async () => [] : obstaclesToTell(exec, log);
  const [wanted, other] = enableNFTables ? [nftables, iptables] : [iptables, nftables];
  if (wanted !== undefined) {
    return { active: { ...sweeping(wanted, other, log), obstacles }, inactive: other };
  }
  if (other === undefined) {
    throw new TwillError('host', 'cannot set firewall rules: neither iptables nor nft is installed', {
      hint: 'install the package iptables or nftables, or run without --ip-masq and with --iptables-forward-rules=false',
    });
  }
  log.warn(
    enableNFTables
      ? 'EnableNFTables is true but nft is not installed; using iptables'
      : 'iptables is not installed; using nftables',
  );
  return { active: { ...other, obstacles }, inactive: undefined };
}

async function isInstalled(exec: Exec, program: string): Promise<boolean> {
  try {
    const result = await exec(program, ['--version'], { timeoutMs: LIMITS.firewallCommandMs });
    return result.exitCode === 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

// The old rules go after the new ones stand, so that a change of mode has no moment without rules. It is
// tried once: leftovers that cannot be removed are no reason to stop looking after the rules in use.
function sweeping(active: Firewall, inactive: Firewall | undefined, log: Logger): Firewall {
  let left = inactive;
  return {
    mode: active.mode,
    async ensure(rules, signal) {
      const found = await active.ensure(rules, signal);
      const other = left;
      left = undefined;
      if (other === undefined) return found;
      try {
        if (await other.remove(signal)) log.info(`removed the rules of ${other.mode}, which is not in use`);
      } catch (error) {
        log.warn(`cannot remove old rules of ${other.mode}`, { error: messageOf(error) });
      }
      return found;
    },
    remove: (signal) => active.remove(signal),
  };
}

// A look that fails tells nothing new: a chain that went while it was read is told of by another event.
function obstaclesToTell(exec: Exec, log: Logger): NodeFirewall['obstacles'] {
  let sure: readonly string[] = [];
  let doubtful: readonly string[] = [];
  let failure: string | undefined;
  return async (network, signal) => {
    try {
      const found = await findObstacles(exec, network, signal);
      const messages = (verdict: (typeof found)[number]['verdict']): readonly string[] =>
        found.filter((obstacle) => obstacle.verdict === verdict).map(({ message }) => message);
      for (const message of messages('may drop')) if (!doubtful.includes(message)) log.warn(message);
      sure = messages('drops');
      doubtful = messages('may drop');
      failure = undefined;
    } catch (error) {
      signal?.throwIfAborted();
      const message = messageOf(error);
      if (message !== failure)
        log.info('cannot look for chains that drop what we accept', { error: message });
      failure = message;
    }
    return sure;
  };
}

// Chooses the firewall of this node, by the network configuration and the installed programs.
import { errnoOf, messageOf, TwillError } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import type { Firewall, FirewallPart, NodeFirewall } from '../model/firewall.ts';
import type { ChainsInUse, ReadTableSizes, RulesetReader } from '../model/ruleset.ts';
import { createDockerDirect, DIRECT_CHAINS } from './docker-direct.ts';
import { IPTABLES_CHAINS } from './iptables.ts';
import { createIptablesVariants } from './iptables-variants.ts';
import { LIMITS } from './limits.ts';
import { createContainersTable, createNftablesFirewall } from './nftables.ts';
import { NFT_CHAINS } from './nftables-table.ts';
import { createObstacleSearch, NO_OBSTACLES } from './obstacles/obstacle-search.ts';
import { complaintOf } from './program.ts';
import { TUNNEL_CHAINS } from './tunnel-table.ts';

const OWN_CHAIN_NAMES: readonly string[] = [
  ...IPTABLES_CHAINS,
  ...DIRECT_CHAINS,
  ...NFT_CHAINS,
  ...TUNNEL_CHAINS,
];

export interface FirewallOptions {
  /** The firewall that the network configuration asks for. If its program is missing, the other one is used. */
  readonly enableNFTables: boolean;
  readonly log: Logger;
  readonly exec: Exec;
  readonly reader: RulesetReader;
  readonly readSizes: ReadTableSizes;
  /** Told of the chains that matter: ours, their parents, and those that a search for obstacles has read. */
  readonly chains?: ChainsInUse;
}

export interface OpenedFirewall {
  /** The firewall in use. Its first successful `ensure` also removes our rules of the other mode. */
  readonly active: NodeFirewall;
  /** The other mode, for a complete removal; undefined: its program is not installed. */
  readonly inactive: Firewall | undefined;
}

/**
 * Chooses the firewall, without changing rules. Fails as `host` when neither iptables nor nft is installed and runs.
 */
export async function openFirewall(options: FirewallOptions): Promise<OpenedFirewall> {
  const { enableNFTables, log, exec, reader, readSizes } = options;
  const [first, second] = await Promise.all([versionOf(exec, 'iptables'), versionOf(exec, 'nft')]);
  const { version } = first;
  const nftables = second.version === undefined ? undefined : createNftablesFirewall({ exec, reader });
  const keepsSource = nftables === undefined || (await reader.generation()) === undefined;
  const iptables =
    version === undefined
      ? undefined
      : createIptablesVariants({ exec, version, reader, readSizes, keepsSource, log });
  const parts = [
    createDockerDirect({ exec, version, reader, readSizes, log }),
    ...(keepsSource ? [] : [createContainersTable({ exec, reader, log })]),
  ];
  const obstacles =
    nftables === undefined
      ? NO_OBSTACLES
      : createObstacleSearch(options, { ownChains: OWN_CHAIN_NAMES, iptablesVersion: version });
  const [wanted, other] = enableNFTables ? [nftables, iptables] : [iptables, nftables];
  if (wanted !== undefined) {
    const active = withParts(withCleanup(wanted, other, log), parts);
    return { active: { ...active, ...obstacles }, inactive: other };
  }
  if (other === undefined) {
    const faults = [first.fault, second.fault].filter((fault) => fault !== undefined);
    const why = faults.length === 0 ? 'is installed' : `runs: ${faults.join('; ')}`;
    throw new TwillError('host', `cannot set firewall rules: neither iptables nor nft ${why}`, {
      hint: 'install the package iptables or nftables, or run without --ip-masq and with --iptables-forward-rules=false',
    });
  }
  const why = ({ fault }: Version): string => (fault === undefined ? 'is not installed' : `fails (${fault})`);
  log.warn(
    enableNFTables
      ? `EnableNFTables is true but nft ${why(second)}; using iptables`
      : `iptables ${why(first)}; using nftables`,
  );
  return { active: { ...withParts(other, parts), ...obstacles }, inactive: undefined };
}

interface Version {
  /** The output of the program's `--version`; undefined: it is not installed, or has a fault. */
  readonly version?: string;
  /** Why it does not run. */
  readonly fault?: string;
}

async function versionOf(exec: Exec, program: string): Promise<Version> {
  try {
    const result = await exec(program, ['--version'], { timeoutMs: LIMITS.firewallCommandMs });
    return result.exitCode === 0 ? { version: result.stdout } : { fault: complaintOf(result) };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return {};
    throw error;
  }
}

// Puts the parts that each mode has beside the rules of the mode.
function withParts(firewall: Firewall, parts: readonly FirewallPart[]): Firewall {
  const all: readonly FirewallPart[] = [firewall, ...parts];
  return {
    ...firewall,
    async ensure(rules, signal) {
      const found = await allOf(all, (part) => part.ensure(rules, signal));
      return found.includes('repaired') ? 'repaired' : 'present';
    },
    remove: async (signal) => (await allOf(all, (part) => part.remove(signal))).includes(true),
    isConcerned: (change) => all.some((part) => part.isConcerned(change)),
  };
}

// The parts do not depend on each other: where one fails, the others have their rules all the same.
async function allOf<T>(
  parts: readonly FirewallPart[],
  work: (part: FirewallPart) => Promise<T>,
): Promise<T[]> {
  const results = await Promise.allSettled(parts.map(work));
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

// Removes the old rules after the new ones are in place, so that a change of mode has no moment without rules. It tries
// once: a failure must not stop the maintenance of the rules in use.
function withCleanup(active: Firewall, inactive: Firewall | undefined, log: Logger): Firewall {
  let left = inactive;
  return {
    ...active,
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
  };
}

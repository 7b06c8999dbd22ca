// Chooses the firewall of this node, by the network configuration and the installed programs.
import { isDeepStrictEqual } from 'node:util';
import { errnoOf, messageOf, TwillError } from '../base/errors.ts';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import type { Firewall, NodeFirewall, Traffic } from '../model/firewall.ts';
import type { ChainsInUse, ReadTableSizes, RulesetReader } from '../model/ruleset.ts';
import { createIptablesFirewall, IPTABLES_CHAINS } from './iptables.ts';
import { LIMITS } from './limits.ts';
import { createNftablesFirewall } from './nftables.ts';
import { NFT_CHAINS } from './nftables-table.ts';
import { chainNameOf, findObstacles, mayObstruct, type ReadChains } from './obstacles.ts';
import { complaintOf } from './program.ts';
import { TUNNEL_CHAINS } from './tunnel-table.ts';

const OWN_CHAIN_NAMES: readonly string[] = [...IPTABLES_CHAINS, ...NFT_CHAINS, ...TUNNEL_CHAINS];

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
  const iptables = version === undefined ? undefined : createIptablesFirewall({ exec, version, readSizes });
  const nftables = second.version === undefined ? undefined : createNftablesFirewall({ exec, reader });
  const obstacles = nftables === undefined ? NO_OBSTACLES : reportObstacles(options);
  const [wanted, other] = enableNFTables ? [nftables, iptables] : [iptables, nftables];
  if (wanted !== undefined) {
    return { active: { ...withCleanup(wanted, other, log), ...obstacles }, inactive: other };
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
  return { active: { ...other, ...obstacles }, inactive: undefined };
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

// Returns the obstacles that are faults, and logs the others when they appear. A failed search keeps the last result:
// if a chain was deleted while it was read, another event follows.
function reportObstacles({ exec, reader, log, chains }: FirewallOptions): ObstacleSearch {
  let faults: readonly string[] = [];
  let warnings: readonly string[] = [];
  let failure: string | undefined;
  let readChains: ReadChains | undefined;
  const search = async (traffic: Traffic, signal?: AbortSignal): Promise<void> => {
    const { obstacles, read } = await findObstacles({ exec, reader }, traffic, signal);
    const messages = (areFaults: boolean): readonly string[] =>
      obstacles.filter(({ isFault }) => isFault === areFaults).map(({ message }) => message);
    for (const message of messages(false)) if (!warnings.includes(message)) log.warn(message);
    faults = messages(true);
    warnings = messages(false);
    readChains = read;
    use(new Set([...OWN_CHAIN_NAMES, ...Array.from(read, chainNameOf)]));
    failure = undefined;
  };
  const use = (names: ReadonlySet<string> | undefined): void => {
    if (chains === undefined) return;
    const isSame = isDeepStrictEqual(names, chains.names);
    chains.names = names;
    if (!isSame) chains.changed();
  };
  return {
    async obstacles(traffic, signal) {
      try {
        await search(traffic, signal);
      } catch (error) {
        signal?.throwIfAborted();
        const message = messageOf(error);
        if (message !== failure)
          log.info('cannot search for chains that drop packets of the network', { error: message });
        failure = message;
        readChains = undefined;
        use(undefined);
      }
      return faults;
    },
    mayObstruct: (change) => readChains === undefined || mayObstruct(change, readChains),
  };
}

type ObstacleSearch = Pick<NodeFirewall, 'obstacles' | 'mayObstruct'>;

const NO_OBSTACLES: ObstacleSearch = { obstacles: async () => [], mayObstruct: () => false };

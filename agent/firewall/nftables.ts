// Applies rules with nftables, in tables of our own. A chain of another table may still drop packets that ours accepts:
// nftables evaluates all chains of a hook, and one drop is enough.
import { isDeepStrictEqual } from 'node:util';
import type { Exec } from '../base/exec.ts';
import type { Logger } from '../base/log.ts';
import type { Firewall, FirewallPart, FirewallRules } from '../model/firewall.ts';
import type { RulesetChange, RulesetReader } from '../model/ruleset.ts';
import {
  CONTAINERS_TABLE,
  DOCKER_FLAGS,
  DOCKER_TABLE,
  FLANNEL_TABLE,
  formatNftReplacement,
  hasChainOf,
  type NftEntry,
  type NftTable,
  parseNftListing,
  planContainersTable,
  planFlannelTable,
  sameNftTable,
} from './nftables-table.ts';
import { failureOf, type ProgramRun, runProgram, runToSuccess } from './program.ts';

export interface NftablesOptions {
  readonly exec: Exec;
  /** Tells whether our table exists. Default: nft does, in a time that grows with the chains of others. */
  readonly reader?: Pick<RulesetReader, 'hasTable'>;
}

/** A firewall in the nftables table `ip flannel-ipv4`. */
export function createNftablesFirewall(options: NftablesOptions): Firewall {
  return {
    mode: 'nftables',
    isAnnounced: () => true,
    ...createTable(options, FLANNEL_TABLE, planFlannelTable),
  };
}

export interface ContainersOptions extends NftablesOptions {
  readonly reader: Pick<RulesetReader, 'hasTable' | 'generation'>;
  readonly log: Logger;
}

/**
 * The nftables table `ip twill-containers`, in either mode. It keeps the source addresses of containers, and marks
 * packets of peers where dockerd uses nftables.
 */
export function createContainersTable(options: ContainersOptions): FirewallPart {
  const { reader, log } = options;
  let isDockerSeen = false;
  const plan = async (rules: FirewallRules): Promise<readonly NftEntry[]> => {
    if (!isDockerSeen && rules.direct.length > 0 && (await reader.hasTable(DOCKER_TABLE))) {
      isDockerSeen = true;
      log.info(
        `dockerd uses nftables, and lets packets of peers to containers pass when it has ${DOCKER_FLAGS}`,
      );
    }
    return planContainersTable(rules, isDockerSeen);
  };
  const table = createTable(options, CONTAINERS_TABLE, plan);
  let last: { readonly rules: FirewallRules; readonly generation: number | undefined } | undefined;
  const isDockerNew = ({ kind, table: name, isGone }: RulesetChange): boolean =>
    kind === 'table' && !isGone && !isDockerSeen && name === `${DOCKER_TABLE.family} ${DOCKER_TABLE.name}`;
  return {
    ...table,
    isConcerned: (change) => isDockerNew(change) || table.isConcerned(change),
    // Beside the old iptables, whose changes nobody tells of, a look comes every few seconds. It runs no program while
    // nothing has changed here.
    async ensure(rules, signal) {
      const generation = await reader.generation();
      if (isDeepStrictEqual(last, { rules, generation })) return 'present';
      const found = await table.ensure(rules, signal);
      last = { rules, generation };
      return found;
    },
  };
}

function createTable(
  { exec, reader }: NftablesOptions,
  table: NftTable,
  plan: (rules: FirewallRules) => readonly NftEntry[] | Promise<readonly NftEntry[]>,
): FirewallPart {
  const { family, name } = table;
  const nft = (purpose: string, args: readonly string[], signal?: AbortSignal): ProgramRun => ({
    purpose,
    file: 'nft',
    args: ['-j', ...args],
    packageName: 'nftables',
    signal,
  });

  // nft reports a missing table in words that may be translated, so the list of chains decides. For a list of tables it
  // would read all rules of all tables.
  const read = async (signal?: AbortSignal): Promise<readonly NftEntry[]> => {
    if (reader !== undefined && !(await reader.hasTable(table))) return [];
    const run = nft('cannot read the nftables rules', ['list', 'table', family, name], signal);
    const result = await runProgram(exec, run);
    if (result.exitCode === 0) return parseNftListing(result.stdout);
    if (reader !== undefined) throw failureOf(run, result);
    const chains = await runToSuccess(exec, { ...run, args: ['-j', 'list', 'chains', family] });
    if (hasChainOf(table, parseNftListing(chains))) throw failureOf(run, result);
    return [];
  };

  const replaceBy = async (wanted: readonly NftEntry[], signal?: AbortSignal): Promise<boolean> => {
    if (sameNftTable(await read(signal), wanted)) return false;
    // As an argument: nft opens /dev/stdin by name, which fails for the socket that Node passes as standard input.
    const run = nft('cannot write the nftables rules', [formatNftReplacement(table, wanted)], signal);
    await runToSuccess(exec, run);
    return true;
  };

  return {
    ensure: async (rules, signal) => ((await replaceBy(await plan(rules), signal)) ? 'repaired' : 'present'),
    remove: (signal) => replaceBy([], signal),
    isConcerned: (change) => change.table === `${family} ${name}`,
  };
}

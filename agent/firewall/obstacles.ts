// Finds foreign chains that drop packets that we accept. nftables evaluates every chain of a hook, and one drop is
// enough. No rule of ours can overrule such a chain, so we name it to the operator.
import type { Exec } from '../base/exec.ts';
import type { JsonValue } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import { formatPrefix, networkOf, type Prefix } from '../model/ip.ts';
import type { ForwardChain, RulesetChange, RulesetReader } from '../model/ruleset.ts';
import { type ChainVerdict, judgeChain, type NftStatements, type ReadChain } from './chain-verdict.ts';
import { LIMITS } from './limits.ts';
import { type NftEntry, parseNftListing } from './nftables-table.ts';
import { runToSuccess } from './program.ts';
import { TUNNEL_TABLE } from './tunnel-table.ts';

/** A chain that drops forwarded packets of the network, or may do so. */
export interface Obstacle {
  readonly verdict: Exclude<ChainVerdict, 'passes'>;
  /** One line for the operator: table, chain and remedy. */
  readonly message: string;
}

/** The chains that a search has read, as `ip filter FORWARD`: only their changes can change its result. */
export type ReadChains = ReadonlySet<string>;

/**
 * All obstacles for a network. Fails as `host` when nft cannot be run, or a chain is deleted while it is read.
 *
 * Reads only the chains that a new connection of the network certainly passes, and none that is long. Chains of legacy
 * iptables are not visible.
 */
export async function findObstacles(
  { exec, reader }: { readonly exec: Exec; readonly reader: RulesetReader },
  network: Prefix,
  signal?: AbortSignal,
): Promise<{ readonly obstacles: readonly Obstacle[]; readonly read: ReadChains }> {
  const list = async (...what: readonly string[]): Promise<readonly NftEntry[]> => {
    const args = ['-j', 'list', ...what];
    const purpose = 'cannot read the nftables rules';
    return parseNftListing(
      await runToSuccess(exec, { purpose, file: 'nft', args, packageName: 'nftables', signal }),
    );
  };
  let readsLeft: number = LIMITS.foreignChains;
  const read = new Set<string>();
  const obstacles: Obstacle[] = [];
  const { chains, long } = await reader.forwardChains(LIMITS.foreignRules);
  for (const chain of chains) {
    const readChain: ReadChain = async (name) => {
      const id = `${chain.family} ${chain.table} ${name}`;
      read.add(id);
      if (long.has(id) || readsLeft-- <= 0) return undefined;
      return rulesOf(await list('chain', chain.family, chain.table, name));
    };
    if (chain.isActive === 'no' || isOurs(`${chain.family} ${chain.table}`)) continue;
    const judged = await judgeChain(chain, networkOf(network), readChain);
    if (judged === 'passes') continue;
    const verdict = chain.isActive === 'yes' ? judged : 'may drop';
    obstacles.push({ verdict, message: messageOf(chain, verdict, network) });
  }
  return { obstacles, read };
}

/** The name of the chain, of family, table and name. */
export function chainNameOf(id: string): string {
  return id.split(' ').slice(2).join(' ');
}

/** Whether a change of the rule set may change the result of a search that has read these chains. */
export function mayObstruct(change: RulesetChange, read: ReadChains): boolean {
  const { kind, table, chain, isForwardHook } = change;
  if (isOurs(table)) return false;
  if (kind === 'table') return [...read].some((id) => id.startsWith(`${table} `));
  return isForwardHook || read.has(`${table} ${chain}`);
}

// The tunnel filter drops no packets to containers.
function isOurs(table: string): boolean {
  return table === `${TUNNEL_TABLE.family} ${TUNNEL_TABLE.name}`;
}

const ruleSchema = v.object({
  expr: v.array(
    v.record(
      v.string(),
      v.custom<JsonValue>(() => true),
    ),
  ),
});

// A rule in an unknown form becomes a statement without a known verdict.
function rulesOf(entries: readonly NftEntry[]): readonly NftStatements[] {
  return entries.flatMap((entry): readonly NftStatements[] => {
    if (!('rule' in entry)) return [];
    const { success, output } = v.safeParse(ruleSchema, entry['rule']);
    return [success ? output.expr : [{ queue: null }]];
  });
}

function messageOf(chain: ForwardChain, verdict: ChainVerdict, network: Prefix): string {
  const name = `chain ${chain.name} of nftables table ${chain.family} ${chain.table}`;
  const range = formatPrefix(networkOf(network));
  return verdict === 'drops'
    ? `${name} drops packets forwarded within ${range}; accept ${range} there`
    : `${name} may drop packets forwarded within ${range}: it drops all packets that its own rules do not accept`;
}

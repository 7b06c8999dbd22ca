// Finds foreign chains that drop packets that we accept. nftables evaluates every chain of a hook, and one drop is
// enough. No rule of ours can overrule such a chain, so we name it to the operator.
import type { Exec } from '../base/exec.ts';
import type { JsonValue } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import { formatPrefix, networkOf, type Prefix } from '../model/ip.ts';
import { type ChainVerdict, judgeChain, type NftStatements, type ReadChain } from './chain-verdict.ts';
import { LIMITS } from './limits.ts';
import { type NftEntry, parseNftListing } from './nftables-table.ts';
import { runToSuccess } from './program.ts';
import type { Truth } from './rule-match.ts';

/** A chain that drops forwarded packets of the network, or may do so. */
export interface Obstacle {
  readonly verdict: Exclude<ChainVerdict, 'passes'>;
  /** One line for the operator: table, chain and remedy. */
  readonly message: string;
}

/**
 * All obstacles for a network. Fails as `host` when nft cannot be run, or a chain is deleted while it is read.
 *
 * Reads the list of chains, and only the chains that a new connection of the network certainly passes. Chains of legacy
 * iptables are not visible.
 */
export async function findObstacles(
  exec: Exec,
  network: Prefix,
  signal?: AbortSignal,
): Promise<readonly Obstacle[]> {
  const list = async (...what: readonly string[]): Promise<readonly NftEntry[]> => {
    const args = ['-j', 'list', ...what];
    const purpose = 'cannot read the nftables rules';
    return parseNftListing(
      await runToSuccess(exec, { purpose, file: 'nft', args, packageName: 'nftables', signal }),
    );
  };
  let readsLeft: number = LIMITS.foreignChains;
  const obstacles: Obstacle[] = [];
  for (const chain of forwardChains(await list('chains'))) {
    const readChain: ReadChain = async (name) => {
      if (readsLeft-- <= 0) return undefined;
      return rulesOf(await list('chain', chain.family, chain.table, name));
    };
    const judged = await judgeChain(chain, networkOf(network), readChain);
    if (judged === 'passes') continue;
    const isActive = findActivity(chain, await list('tables'));
    const verdict = isActive === 'yes' ? judged : 'may drop';
    if (isActive !== 'no') obstacles.push({ verdict, message: messageOf(chain, verdict, network) });
  }
  return obstacles;
}

const chainSchema = v.object({
  family: v.picklist(['ip', 'inet']),
  table: v.string(),
  name: v.string(),
  hook: v.literal('forward'),
  policy: v.string(),
});

type ForwardChain = v.InferOutput<typeof chainSchema>;

function forwardChains(entries: readonly NftEntry[]): readonly ForwardChain[] {
  return entries.flatMap(({ chain }) => {
    const { success, output } = v.safeParse(chainSchema, chain);
    return success ? [output] : [];
  });
}

const tableSchema = v.object({
  family: v.string(),
  name: v.string(),
  flags: v.optional(v.union([v.string(), v.array(v.string())]), []),
});

// The kernel skips the chains of a dormant table. Some versions of nft print garbage as flags.
function findActivity(chain: ForwardChain, tables: readonly NftEntry[]): Truth {
  for (const entry of tables) {
    const { success, output } = v.safeParse(tableSchema, entry['table']);
    if (!success || output.family !== chain.family || output.name !== chain.table) continue;
    const flags = [output.flags].flat();
    if (flags.includes('dormant')) return 'no';
    return flags.every((flag) => flag === 'owner' || flag === 'persist') ? 'yes' : 'perhaps';
  }
  return 'no';
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

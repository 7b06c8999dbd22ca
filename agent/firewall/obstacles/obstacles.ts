// Finds foreign chains that drop packets of our containers, or rewrite their source. The kernel calls every chain of a
// hook, and one drop is enough. No rule of ours can overrule such a chain, so we name it to the operator.
import type { Exec } from '../../base/exec.ts';
import type { Traffic } from '../../model/firewall.ts';
import type { BaseChain, RulesetChange, RulesetReader, TableSizes } from '../../model/ruleset.ts';
import { LIMITS } from '../limits.ts';
import { FLANNEL_TABLE } from '../nftables-table.ts';
import { TUNNEL_TABLE } from '../tunnel-table.ts';
import { createChainReader } from './chain-reader.ts';
import { flowsOf } from './flow.ts';
import { type Finding, judgeFlow, type PlacedChain } from './flow-verdict.ts';
import { formatObstacle } from './obstacle-text.ts';
import { type OldChains, readOldChains } from './old-rules.ts';

/** An effect of a foreign chain on packets of our containers. */
export interface Obstacle {
  /** Whether the packets that we carry surely do not pass. Else it is worth a warning. */
  readonly isFault: boolean;
  /** One line for the operator: table, chain, rule and remedy. */
  readonly message: string;
}

/** The chains that a search has read, as `ip filter FORWARD`: only their changes can change its result. */
export type ReadChains = ReadonlySet<string>;

export interface SearchDeps {
  readonly exec: Exec;
  readonly reader: RulesetReader;
  /** Tables that are not read as a whole, from one search to the next. Default: a set of this search. */
  readonly bulky?: Set<string>;
  /** The tables of the old iptables and the program that lists them. Default: there are none. */
  readonly old?: { readonly program: string; readonly sizes: ReadonlyMap<string, TableSizes> } | undefined;
}

export interface Search {
  readonly obstacles: readonly Obstacle[];
  readonly read: ReadChains;
  /** Why chains could not be read, one line each. */
  readonly unseen: readonly string[];
}

/**
 * All obstacles for this traffic. Fails as `host` when nft cannot be run, or a chain is deleted while it is read.
 *
 * Of nftables it reads only the chains that a new connection surely reaches, and none that is long.
 */
export async function findObstacles(
  { exec, reader, old, bulky = new Set() }: SearchDeps,
  traffic: Traffic,
  signal?: AbortSignal,
): Promise<Search> {
  const found = await reader.baseChains(LIMITS.foreignRules);
  const rules = createChainReader(exec, found, bulky, signal);
  const placed = found.chains
    .filter((chain) => chain.isActive !== 'no' && !isOurs(`${chain.family} ${chain.table}`))
    .map((chain) => ({
      ...chain,
      where: `nftables table ${chain.family} ${chain.table}`,
      readChain: rules.in(chain),
    }));
  const { chains: oldChains, unseen }: OldChains =
    old === undefined ? NO_OLD_CHAINS : await readOldChains(exec, old.program, old.sizes, signal);
  const all = inKernelOrder([...placed, ...oldChains]);
  const budget = { rules: LIMITS.evaluatedRules };
  const findings: Finding[] = [];
  for (const flow of flowsOf(traffic, LIMITS.followedBridges)) {
    findings.push(...(await judgeFlow(flow, all, budget)));
  }
  return {
    obstacles: obstaclesOf(findings, traffic).slice(0, LIMITS.obstacles),
    read: rules.read,
    unseen: [...unseen, ...placed.filter((chain) => found.long.has(idOf(chain))).map(longLine)],
  };
}

function idOf({ family, table, name }: BaseChain): string {
  return `${family} ${table} ${name}`;
}

function longLine({ name, where }: PlacedChain): string {
  return `cannot look for obstacles in chain ${name} of ${where}: it has more than ${LIMITS.foreignRules} rules`;
}

const NO_OLD_CHAINS: OldChains = { chains: [], unseen: [] };

const HOOKS: readonly PlacedChain['hook'][] = ['prerouting', 'forward', 'postrouting'];

function inKernelOrder(chains: readonly PlacedChain[]): readonly PlacedChain[] {
  return chains.toSorted((a, b) => HOOKS.indexOf(a.hook) - HOOKS.indexOf(b.hook) || a.priority - b.priority);
}

/** One obstacle for each rule with an effect, whatever flows it is on. */
function obstaclesOf(findings: readonly Finding[], traffic: Traffic): readonly Obstacle[] {
  const isOverlay = ({ flow }: Finding): boolean => flow.direction !== 'to outside';
  const stopped = new Set(
    findings.filter((each) => each.effect === 'drops' && isOverlay(each)).map(({ flow }) => flow.bridge),
  );
  const bridges = traffic.bridges.slice(0, LIMITS.followedBridges);
  // An operator may close one of several bridges on purpose: Docker does so for an internal network.
  const isAllStopped =
    stopped.has(undefined) || (stopped.size > 0 && bridges.every(({ name }) => stopped.has(name)));
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const group = groups.get(keyOf(finding));
    if (group === undefined) groups.set(keyOf(finding), [finding]);
    else group.push(finding);
  }
  return [...groups.values()].flatMap((group): readonly Obstacle[] => {
    const [first] = group;
    if (first === undefined) return [];
    const isAbroad = !group.some(isOverlay);
    // An operator may mean it, or it surely drops others.
    if (first.effect === 'may drop' && (isAbroad || groups.has(keyOf({ ...first, effect: 'drops' }))))
      return [];
    const isFault =
      first.effect === 'drops an address' || (first.effect === 'drops' && isAllStopped && !isAbroad);
    return [{ isFault, message: formatObstacle(group, traffic) }];
  });
}

function keyOf({ effect, chain, by }: Finding): string {
  const rule = effect === 'drops an address' ? undefined : by;
  return [effect, chain.where, chain.name, rule?.chain, rule?.rule].join('\n');
}

/** The name of the chain, of family, table and name. */
export function chainNameOf(id: string): string {
  return id.split(' ').slice(2).join(' ');
}

/** Whether a change of the rule set may change the result of a search that has read these chains. */
export function mayObstruct(change: RulesetChange, read: ReadChains): boolean {
  const { kind, table, chain, isHooked } = change;
  if (isOurs(table)) return false;
  if (kind === 'table') return [...read].some((id) => id.startsWith(`${table} `));
  return isHooked || read.has(`${table} ${chain}`);
}

// These drop no packets of containers, and rewrite no source within the network.
const OWN_TABLES: ReadonlySet<string> = new Set(
  [TUNNEL_TABLE, FLANNEL_TABLE].map(({ family, name }) => `${family} ${name}`),
);

function isOurs(table: string): boolean {
  return OWN_TABLES.has(table);
}

// Judges a flow at all base chains on its way. Pure, but for the chains, which are read when the flow reaches them.
import type { BaseChain } from '../../model/ruleset.ts';
import { type Budget, type Passage, passThrough, type ReadChain, type RulePlace } from './chain-verdict.ts';
import type { Flow } from './flow.ts';
import { type Sight, UNKNOWN_MARK } from './rule-match.ts';

/** A base chain, and where it stands. */
export interface PlacedChain extends BaseChain {
  /** `nftables table ip filter`. */
  readonly where: string;
  /** Reads chains of the same table. */
  readonly readChain: ReadChain;
}

/** An effect of a chain on a flow. */
export interface Finding {
  readonly effect: /** No connection passes. */
    | 'drops'
    /** No connection passes, except those that a rule in between may accept. */
    | 'may drop'
    /** Connections to one address do not pass. */
    | 'drops an address'
    /** All connections get another source address. */
    | 'rewrites';
  readonly flow: Flow;
  readonly chain: PlacedChain;
  /** Undefined: the chain's policy. */
  readonly by: RulePlace | undefined;
  readonly address?: string;
}

// Netfilter knows the connections of packets from this priority on, NF_IP_PRI_CONNTRACK.
const TRACKING = -200;

/** The effects of these chains, in the kernel's order, on a flow. Each one counts: netfilter asks them all. */
export async function judgeFlow(
  flow: Flow,
  chains: readonly PlacedChain[],
  budget: Budget,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  let mark = UNKNOWN_MARK;
  let isUntracked = false;
  const pass = async (chain: PlacedChain): Promise<Passage> => {
    const { hook, priority, readChain } = chain;
    const isLate = hook !== 'prerouting' || priority > TRACKING;
    const tracking = isUntracked ? 'never' : isLate ? 'yes' : 'not yet';
    const sight: Sight = { flow, hook, tracking, mark };
    const passage = await passThrough(chain, sight, readChain, budget);
    mark = sight.mark;
    isUntracked = sight.tracking === 'never';
    return passage;
  };
  for (const chain of chains.filter(({ type }) => type === 'filter')) {
    const { end, by, isCertain, addresses } = await pass(chain);
    const isSure = chain.isActive === 'yes';
    if (end === 'drop')
      findings.push({ effect: isCertain && isSure ? 'drops' : 'may drop', flow, chain, by });
    if (flow.direction !== 'from peers' || !isSure) continue;
    for (const address of addresses) {
      findings.push({ effect: 'drops an address', flow, chain, by: address.by, address: address.text });
    }
  }
  if (flow.direction !== 'to peers') return findings;
  const rewriting = await findRewriting(
    chains.filter(({ type }) => type === 'nat'),
    pass,
  );
  return rewriting === undefined ? findings : [...findings, { effect: 'rewrites', flow, ...rewriting }];
}

// The kernel asks one chain for NAT after another until one sets up a mapping. An accept is none, and a mapping to the
// same address is one. Among chains of one priority the order is not known.
async function findRewriting(
  chains: readonly PlacedChain[],
  pass: (chain: PlacedChain) => Promise<Passage>,
): Promise<{ readonly chain: PlacedChain; readonly by: RulePlace | undefined } | undefined> {
  for (const priority of new Set(chains.map((chain) => chain.priority))) {
    let found: { readonly chain: PlacedChain; readonly by: RulePlace | undefined } | undefined;
    for (const chain of chains.filter((each) => each.priority === priority)) {
      const { end, by, isCertain } = await pass(chain);
      if (end === 'keep' || !isCertain || chain.isActive !== 'yes') return undefined;
      if (end === 'rewrite') found ??= { chain, by };
    }
    if (found !== undefined) return found;
  }
  return undefined;
}

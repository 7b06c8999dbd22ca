// Decides whether a foreign chain drops forwarded new connections of the network. It evaluates tests of addresses,
// families and connection states; every other test is "perhaps" (three-valued logic). A verdict is certain only if no
// rule before it could have accepted. Pure.
import type { JsonValue } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import type { Prefix } from '../model/ip.ts';
import { matchOf, type Truth } from './rule-match.ts';

/** A rule's statements, as `nft -j` lists them. */
export type NftStatements = readonly Readonly<Record<string, JsonValue>>[];

/** The rules of a chain of the same table; undefined: unknown. */
export type ReadChain = (name: string) => Promise<readonly NftStatements[] | undefined>;

export type ChainVerdict =
  /** The chain does not drop all connections. */
  | 'passes'
  /** The chain drops all connections, except those that a "perhaps" rule may accept. */
  | 'may drop'
  /** The chain drops all connections. */
  | 'drops';

/** The verdict of a base chain on new connections from and to the network. */
export async function judgeChain(
  base: { readonly name: string; readonly policy: string },
  network: Prefix,
  readChain: ReadChain,
): Promise<ChainVerdict> {
  const { end, isUncertain } = await walk(base.name, network, readChain);
  if (end === 'accept' || (end === 'return' && base.policy !== 'drop')) return 'passes';
  return isUncertain ? 'may drop' : 'drops';
}

interface Walk {
  readonly end: 'accept' | 'drop' | 'return';
  /** An earlier rule may have accepted some packets, or sent them out of the chain. */
  readonly isUncertain: boolean;
}

// The recursion ends: the kernel allows calls 16 deep and no loop.
async function walk(chain: string, network: Prefix, readChain: ReadChain): Promise<Walk> {
  const rules = await readChain(chain);
  if (rules === undefined) return { end: 'return', isUncertain: true };
  let isUncertain = false;
  for (const rule of rules) {
    const step = readRule(rule, network);
    switch (step.verdict) {
      case 'none':
        break;
      case 'accept':
      case 'drop':
      case 'return':
        return { end: step.verdict, isUncertain };
      case 'unknown':
        isUncertain = true;
        break;
      default: {
        const called = await walk(step.target, network, readChain);
        isUncertain ||= called.isUncertain;
        if (called.end !== 'return' || step.verdict === 'goto') return { end: called.end, isUncertain };
      }
    }
  }
  return { end: 'return', isUncertain };
}

type Step =
  | { readonly verdict: 'none' | 'accept' | 'drop' | 'return' | 'unknown' }
  | { readonly verdict: 'jump' | 'goto'; readonly target: string };

const NONE: Step = { verdict: 'none' };
const UNKNOWN: Step = { verdict: 'unknown' };

function readRule(statements: NftStatements, network: Prefix): Step {
  let truth: Truth = 'yes';
  let isAboutUs = false;
  for (const [kind, value] of statements.flatMap((statement) => Object.entries(statement))) {
    if (kind === 'match') {
      const match = matchOf(value, network);
      if (match.truth === 'no') return NONE;
      if (match.truth === 'perhaps') truth = 'perhaps';
      isAboutUs ||= match.isAboutUs;
      continue;
    }
    const step = readStatement(kind, value);
    if (step === 'neutral') continue;
    if (step === 'perhaps') truth = 'perhaps';
    else return truth === 'yes' ? step : weaken(step, isAboutUs);
  }
  return NONE;
}

// The effect of a rule that may match. A rule that may drop still lets other packets pass. A rule that names the
// network and does not drop was written for the network, so it counts as an accept.
function weaken(step: Step, isAboutUs: boolean): Step {
  if (step.verdict === 'drop' || step.verdict === 'none') return NONE;
  return isAboutUs && step.verdict !== 'return' ? { verdict: 'accept' } : UNKNOWN;
}

const NEUTRAL = new Set(['counter', 'log', 'mangle', 'notrack', 'flow']);
const NEUTRAL_TARGETS = new Set(['LOG', 'NFLOG', 'MARK', 'CONNMARK', 'TCPMSS', 'TRACE']);

const call = v.object({ target: v.string() });
const extension = v.object({ type: v.string(), name: v.string() });
const stateMap = v.object({
  key: v.object({ ct: v.object({ key: v.literal('state') }) }),
  data: v.object({ set: v.array(v.tuple([v.string(), v.unknown()])) }),
});

/**
 * Reads a statement that is no match. `neutral`: it has no effect on the verdict. `perhaps`: it may end the rule.
 */
function readStatement(kind: string, value: JsonValue): Step | 'neutral' | 'perhaps' {
  switch (kind) {
    case 'accept':
    case 'drop':
    case 'return':
      return { verdict: kind };
    case 'reject':
      return { verdict: 'drop' };
    case 'continue':
      return NONE;
    case 'jump':
    case 'goto': {
      const { success, output } = v.safeParse(call, value);
      return success ? { verdict: kind, target: output.target } : UNKNOWN;
    }
    case 'xt': {
      const { success, output } = v.safeParse(extension, value);
      if (!success) return 'perhaps';
      if (output.type !== 'target') return output.name === 'comment' ? 'neutral' : 'perhaps';
      if (output.name === 'REJECT') return { verdict: 'drop' };
      return NEUTRAL_TARGETS.has(output.name) ? 'neutral' : UNKNOWN;
    }
    case 'vmap': {
      const { success, output } = v.safeParse(stateMap, value);
      return success && output.data.set.every(([state]) => state !== 'new') ? 'neutral' : UNKNOWN;
    }
    case 'queue':
      return UNKNOWN;
    default:
      return NEUTRAL.has(kind) ? 'neutral' : 'perhaps';
  }
}

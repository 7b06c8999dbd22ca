// What a chain of somebody else does with new connections of the network that are forwarded. Not all of nftables is
// understood, and need not be: what a rule tests beyond addresses, families and states of connections counts as
// "perhaps", and a verdict is only called sure when no "perhaps" could have accepted before. Pure.
import { type JsonValue, v } from '../base/schema.ts';
import type { Prefix } from '../model/ip.ts';
import { matchOf, type Truth } from './rule-match.ts';

/** A rule's statements, as `nft -j` lists them. */
export type NftStatements = readonly Readonly<Record<string, JsonValue>>[];

/** The rules of a chain of the same table; undefined: they are not known. */
export type ReadChain = (name: string) => Promise<readonly NftStatements[] | undefined>;

/**
 * `passes`: it lets through what nothing else in it drops. `drops`: all is dropped. `may drop`: all is dropped but for
 * what some rule accepts that cannot be judged from here.
 */
export type ChainVerdict = 'passes' | 'may drop' | 'drops';

/** The verdict of a base chain on new connections from and to the network. */
export async function judgeChain(
  base: { readonly name: string; readonly policy: string },
  network: Prefix,
  readChain: ReadChain,
): Promise<ChainVerdict> {
  const { end, isDoubtful } = await walk(base.name, network, readChain);
  if (end === 'accept' || (end === 'return' && base.policy !== 'drop')) return 'passes';
  return isDoubtful ? 'may drop' : 'drops';
}

interface Walk {
  readonly end: 'accept' | 'drop' | 'return';
  /** Some of the packets may have been accepted, or have left the chain, before. */
  readonly isDoubtful: boolean;
}

// The kernel lets chains call each other 16 deep and in no circle.
async function walk(chain: string, network: Prefix, readChain: ReadChain): Promise<Walk> {
  const rules = await readChain(chain);
  if (rules === undefined) return { end: 'return', isDoubtful: true };
  let isDoubtful = false;
  for (const rule of rules) {
    const step = readRule(rule, network);
    switch (step.verdict) {
      case 'none':
        break;
      case 'accept':
      case 'drop':
      case 'return':
        return { end: step.verdict, isDoubtful };
      case 'doubt':
        isDoubtful = true;
        break;
      default: {
        const called = await walk(step.target, network, readChain);
        isDoubtful ||= called.isDoubtful;
        if (called.end !== 'return' || step.verdict === 'goto') return { end: called.end, isDoubtful };
      }
    }
  }
  return { end: 'return', isDoubtful };
}

type Step =
  | { readonly verdict: 'none' | 'accept' | 'drop' | 'return' | 'doubt' }
  | { readonly verdict: 'jump' | 'goto'; readonly target: string };

const NONE: Step = { verdict: 'none' };
const DOUBT: Step = { verdict: 'doubt' };

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

// Whoever accepts part of the network by name has thought of it. What drops some packets leaves the others.
function weaken(step: Step, isAboutUs: boolean): Step {
  if (step.verdict === 'drop' || step.verdict === 'none') return NONE;
  return isAboutUs && step.verdict !== 'return' ? { verdict: 'accept' } : DOUBT;
}

const NEUTRAL = new Set(['counter', 'log', 'mangle', 'notrack', 'flow']);
const NEUTRAL_TARGETS = new Set(['LOG', 'NFLOG', 'MARK', 'CONNMARK', 'TCPMSS', 'TRACE']);

const call = v.object({ target: v.string() });
const extension = v.object({ type: v.string(), name: v.string() });
const stateMap = v.object({
  key: v.object({ ct: v.object({ key: v.literal('state') }) }),
  data: v.object({ set: v.array(v.tuple([v.string(), v.unknown()])) }),
});

/** A statement that is no match: what it leads to, or that it has no say, or that it perhaps stops here. */
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
      return success ? { verdict: kind, target: output.target } : DOUBT;
    }
    case 'xt': {
      const { success, output } = v.safeParse(extension, value);
      if (!success) return 'perhaps';
      if (output.type !== 'target') return output.name === 'comment' ? 'neutral' : 'perhaps';
      if (output.name === 'REJECT') return { verdict: 'drop' };
      return NEUTRAL_TARGETS.has(output.name) ? 'neutral' : DOUBT;
    }
    case 'vmap': {
      const { success, output } = v.safeParse(stateMap, value);
      return success && output.data.set.every(([state]) => state !== 'new') ? 'neutral' : DOUBT;
    }
    case 'queue':
      return DOUBT;
    default:
      return NEUTRAL.has(kind) ? 'neutral' : 'perhaps';
  }
}

// Follows a flow through one base chain and the chains that it calls. A test that cannot be evaluated is "perhaps"
// (three-valued logic). A verdict is certain only if no rule before it could have ended the walk. Pure, but for the
// chains, which are read when the flow reaches them.
import { formatNumber } from './flow.ts';
import type { ForeignRule, MapEntry, RuleTest, RuleVerdict } from './foreign-rule.ts';
import { changeMark, matchOf, type Sight, type Truth } from './rule-match.ts';

/** The rules of a chain of the same table; undefined: unknown. */
export type ReadChain = (name: string) => Promise<readonly ForeignRule[] | undefined>;

/** Rules that a search may still evaluate. With none left every chain is unknown. */
export interface Budget {
  rules: number;
}

/** The place of a rule. */
export interface RulePlace {
  readonly chain: string;
  readonly rule: string;
}

type End = 'accept' | 'drop' | 'rewrite' | 'keep' | 'return';

/** The way of a flow through a base chain. */
export interface Passage {
  readonly end: Exclude<End, 'return'>;
  /** The rule that ends it; undefined: the policy of the chain does. */
  readonly by: RulePlace | undefined;
  /** Whether no packet leaves the chain another way, but for some single addresses. */
  readonly isCertain: boolean;
  /** Single addresses of ours that a rule drops for all links but the bridge: Docker writes such rules. */
  readonly addresses: readonly { readonly text: string; readonly by: RulePlace }[];
}

/** Follows the flow through a base chain. What is known of a packet in `sight` is true behind the chain then. */
export async function passThrough(
  base: { readonly name: string; readonly policy: 'accept' | 'drop' },
  sight: Sight,
  readChain: ReadChain,
  budget: Budget,
): Promise<Passage> {
  const walk = new Walk(sight, readChain, budget);
  const { end, by, mayEnd, mayReturn } = await walk.through(base.name, 0);
  const { addresses } = walk;
  if (end === 'return') return { end: base.policy, by: undefined, isCertain: !mayEnd, addresses };
  return { end, by, isCertain: !(mayEnd || (mayReturn && end !== base.policy)), addresses };
}

interface WalkEnd {
  readonly end: End;
  readonly by?: RulePlace | undefined;
  /** An earlier rule may have accepted or changed some packets for good. */
  readonly mayEnd: boolean;
  /** An earlier rule may have sent some packets back to the caller. */
  readonly mayReturn: boolean;
}

/** The kernel allows no deeper calls. */
const DEEPEST_CALL = 16;

class Walk {
  readonly #sight: Sight;
  readonly #readChain: ReadChain;
  readonly #budget: Budget;
  readonly addresses: { readonly text: string; readonly by: RulePlace }[] = [];
  /** Single addresses that a rule has let pass, or may have. */
  readonly #spared = new Set<number>();

  constructor(sight: Sight, readChain: ReadChain, budget: Budget) {
    this.#sight = sight;
    this.#readChain = readChain;
    this.#budget = budget;
  }

  async through(chain: string, depth: number): Promise<WalkEnd> {
    const rules = depth > DEEPEST_CALL || this.#budget.rules <= 0 ? undefined : await this.#readChain(chain);
    if (rules === undefined) return { end: 'return', mayEnd: true, mayReturn: false };
    let [mayEnd, mayReturn] = [false, false];
    for (const rule of rules) {
      this.#budget.rules--;
      const by: RulePlace = { chain, rule: rule.text };
      for (const { verdict, truth } of this.#read(rule, by, mayEnd)) {
        if (truth === 'perhaps') {
          if (verdict.verdict === 'return') mayReturn = true;
          else if (mayEndWalk(verdict)) mayEnd = true;
          continue;
        }
        switch (verdict.verdict) {
          case 'accept':
          case 'drop':
          case 'rewrite':
          case 'keep':
          case 'return':
            return { end: verdict.verdict, by, mayEnd, mayReturn };
          case 'unknown':
            mayEnd = true;
            break;
          case 'jump':
          case 'goto': {
            const called = await this.through(verdict.target, depth + 1);
            // Packets that come back may be rewritten all the same.
            if (called.end === 'rewrite' && called.mayReturn && !called.mayEnd) break;
            mayEnd ||= called.mayEnd || (called.mayReturn && called.end !== 'return');
            if (called.end !== 'return') return { end: called.end, by: called.by, mayEnd, mayReturn };
            if (verdict.verdict === 'goto') return { end: 'return', mayEnd, mayReturn };
            break;
          }
          default:
        }
      }
    }
    return { end: 'return', mayEnd, mayReturn };
  }

  /** The verdicts of a rule that the flow reaches, surely or perhaps. Those that are sure end it. */
  #read(rule: ForeignRule, by: RulePlace, mayEnd: boolean): readonly Reached[] {
    let truth: Exclude<Truth, 'no' | 'single'> = 'yes';
    let isAboutUs = false;
    let isForOtherLinks = false;
    let singles: readonly number[] | undefined;
    for (const part of rule.parts) {
      if (part.kind === 'test') {
        const match = matchOf(part, this.#sight);
        if (match.truth === 'no') return [];
        // Rules for single hosts of others decide about few packets.
        if (match.truth === 'single' && part.of !== 'destination') return [];
        if (match.truth === 'single') singles = match.singles;
        if (match.truth === 'perhaps') truth = 'perhaps';
        isAboutUs ||= match.isAboutUs;
        isForOtherLinks ||= part.of === 'linkIn' && part.isNegated;
      } else if (part.kind === 'mark') {
        this.#sight.mark = changeMark(this.#sight.mark, part, truth === 'yes' && singles === undefined);
      } else if (part.kind === 'untrack') {
        this.#sight.tracking = 'never';
      } else if (singles !== undefined) {
        if (part.verdict !== 'drop') for (const single of singles) this.#spared.add(single);
        else if (truth === 'yes' && isForOtherLinks && !mayEnd) this.#drop(singles, by);
        return [];
      } else {
        return reachedBy(part, truth, isAboutUs, (test) => matchOf(test, this.#sight).truth);
      }
    }
    return [];
  }

  #drop(singles: readonly number[], by: RulePlace): void {
    for (const single of singles) {
      if (!this.#spared.has(single)) this.addresses.push({ text: formatNumber(single), by });
    }
  }
}

interface Reached {
  readonly verdict: RuleVerdict;
  readonly truth: 'yes' | 'perhaps';
}

function reachedBy(
  verdict: RuleVerdict,
  truth: Reached['truth'],
  isAboutUs: boolean,
  evaluate: (test: RuleTest) => Truth,
): readonly Reached[] {
  if (verdict.verdict === 'map') return entriesReached(verdict.entries, truth, evaluate);
  // A rule that names the network and lets some packets pass was written for the network, so it counts for all.
  if (truth === 'perhaps' && isAboutUs && ['accept', 'jump', 'goto', 'unknown'].includes(verdict.verdict)) {
    return [{ verdict: { kind: 'verdict', verdict: 'accept' }, truth: 'yes' }];
  }
  return [{ verdict, truth }];
}

// A key is in a map once: where one surely fits, the others do not.
function entriesReached(
  entries: readonly MapEntry[],
  truth: Reached['truth'],
  evaluate: (test: RuleTest) => Truth,
): readonly Reached[] {
  const found = entries.map(({ test, verdict }) => ({ verdict, fits: evaluate(test) }));
  const sure = found.find(({ fits }) => fits === 'yes');
  if (sure !== undefined) return [{ verdict: sure.verdict, truth }];
  return found.flatMap(({ verdict, fits }) => (fits === 'perhaps' ? [{ verdict, truth: 'perhaps' }] : []));
}

// A rule that may drop or rewrite still lets other packets pass.
function mayEndWalk({ verdict }: RuleVerdict): boolean {
  return !['drop', 'rewrite', 'none'].includes(verdict);
}

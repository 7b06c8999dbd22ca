// Evaluates the tests of a foreign rule for a flow. Pure.
import { matchesOwnName } from '../../model/host-state.ts';
import type { Addresses, AddressRange, Flow } from './flow.ts';
import type { MarkChange, RuleTest } from './foreign-rule.ts';

export type Truth =
  | 'yes'
  | 'no'
  /** It depends on packets, or is not known. */
  | 'perhaps'
  /** Yes for packets with a few single addresses, no for all others. */
  | 'single';

export interface Match {
  readonly truth: Truth;
  /** The test names the network, a part of it, or a link of ours: its author knows of the overlay. */
  readonly isAboutUs: boolean;
  /** The addresses, where `truth` is `single`. */
  readonly singles: readonly number[];
}

/** A flow at the hook where chains see it. */
export interface Sight {
  readonly flow: Flow;
  readonly hook: 'prerouting' | 'forward' | 'postrouting';
  /** Whether the kernel knows to which connection a packet belongs. Rules on the way may keep it from that. */
  tracking: 'not yet' | 'yes' | 'never';
  /** Rules on the way change it. */
  mark: Mark;
}

/** What is known of a packet's mark: the bits under `known` are those of `value`. */
export interface Mark {
  readonly known: number;
  readonly value: number;
}

export const UNKNOWN_MARK: Mark = { known: 0, value: 0 };

/** The mark after a rule that surely, or perhaps, changes it. */
export function changeMark(mark: Mark, { mask, value }: MarkChange, isSure: boolean): Mark {
  const rest = { known: (mark.known & ~mask) >>> 0, value: (mark.value & ~mask) >>> 0 };
  if (value === undefined) return rest;
  if (isSure) return { known: (rest.known | mask) >>> 0, value: (rest.value | (value & mask)) >>> 0 };
  const same = mark.known & mask & ~(mark.value ^ value);
  return { known: (rest.known | same) >>> 0, value: (rest.value | (value & same)) >>> 0 };
}

/** Evaluates a test. */
export function matchOf(test: RuleTest, sight: Sight): Match {
  const found = equalityOf(test, sight);
  return test.isNegated ? negate(found) : found;
}

const YES: Match = { truth: 'yes', isAboutUs: false, singles: [] };
const NO: Match = { truth: 'no', isAboutUs: false, singles: [] };
const PERHAPS: Match = { truth: 'perhaps', isAboutUs: false, singles: [] };

const OPPOSITE = { yes: 'no', no: 'yes', perhaps: 'perhaps', single: 'perhaps' } as const;

function negate({ truth, isAboutUs }: Match): Match {
  return { truth: OPPOSITE[truth], isAboutUs, singles: [] };
}

function equalityOf(test: RuleTest, { flow, hook, tracking, mark }: Sight): Match {
  switch (test.of) {
    case 'source':
    case 'destination': {
      const of = flow[test.of];
      return anyOf(test.values.map((range) => (range ? addressMatch(range, of, flow.network) : PERHAPS)));
    }
    case 'linkIn':
    case 'linkOut': {
      // A packet has no outgoing link before its route is known.
      if (test.of === 'linkOut' && hook === 'prerouting') return PERHAPS;
      const link = flow[test.of];
      return anyOf(test.values.map((name) => (name === undefined ? PERHAPS : linkMatch(name, link))));
    }
    case 'state':
      if (tracking !== 'yes') return PERHAPS;
      return anyOf(
        test.values.map((state) => (state === 'new' ? YES : OTHER_STATES.has(state) ? NO : PERHAPS)),
      );
    case 'mark':
      return anyOf(test.values.map((value) => markMatch(mark, test.mask, value)));
    case 'constant':
      return anyOf(test.values.map((value) => (value === undefined ? PERHAPS : value ? YES : NO)));
  }
}

const OTHER_STATES: ReadonlySet<string | undefined> = new Set([
  'established',
  'related',
  'invalid',
  'untracked',
  'dnat',
  'snat',
]);

function anyOf(matches: readonly Match[]): Match {
  const [first] = matches;
  if (first !== undefined && matches.length === 1) return first;
  const truths = new Set(matches.map(({ truth }) => truth));
  return {
    truth: (['yes', 'perhaps', 'single'] as const).find((truth) => truths.has(truth)) ?? 'no',
    isAboutUs: matches.some((match) => match.isAboutUs),
    singles: matches.flatMap(({ singles }) => singles),
  };
}

// Forwarded packets neither come from nor go to the loopback, and none of our own links is a bridge.
function linkMatch(name: string, link: string | undefined): Match {
  const isAboutUs = matchesOwnName(name);
  if (link === undefined) return name === 'lo' || isAboutUs ? { ...NO, isAboutUs } : PERHAPS;
  const fits = name.endsWith('*') ? link.startsWith(name.slice(0, -1)) : link === name;
  return { ...(fits ? YES : NO), isAboutUs };
}

function markMatch(mark: Mark, mask: number, value: number | undefined): Match {
  if (value === undefined) return PERHAPS;
  if (((mark.value ^ value) & mask & mark.known) !== 0) return NO;
  return (mask & ~mark.known) === 0 ? YES : PERHAPS;
}

function addressMatch(range: AddressRange, { within, except }: Addresses, network: AddressRange): Match {
  const isAboutUs = contains(network, range) && range[0] < range[1];
  if (contains(range, within)) return { ...YES, isAboutUs };
  const isApart = range[1] < within[0] || within[1] < range[0];
  if (isApart || (except !== undefined && contains(except, clip(range, within)))) return { ...NO, isAboutUs };
  if (range[0] === range[1]) return { truth: 'single', isAboutUs: false, singles: [range[0]] };
  return { ...PERHAPS, isAboutUs };
}

function contains(outer: AddressRange, inner: AddressRange): boolean {
  return outer[0] <= inner[0] && inner[1] <= outer[1];
}

function clip(range: AddressRange, within: AddressRange): AddressRange {
  return [Math.max(range[0], within[0]), Math.min(range[1], within[1])];
}

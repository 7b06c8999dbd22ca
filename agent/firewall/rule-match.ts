// Evaluates a test of an nftables rule for a new connection between two addresses of the network. Pure.
import type { JsonValue } from '../base/schema.ts';
import * as v from '../base/valibot.ts';
import { matchesOwnName } from '../model/host-state.ts';
import { addressBits, containsPrefix, hostPrefix, overlaps, type Prefix, parseAddress } from '../model/ip.ts';

export type Truth = 'yes' | 'no' | 'perhaps';

export interface Match {
  readonly truth: Truth;
  /** The test names the network, a part of it, or a link of ours: its author knows of the overlay. */
  readonly isAboutUs: boolean;
}

const YES: Match = { truth: 'yes', isAboutUs: false };
const NO: Match = { truth: 'no', isAboutUs: false };
const PERHAPS: Match = { truth: 'perhaps', isAboutUs: false };

const test = v.object({
  op: v.string(),
  left: v.union([
    v.object({ payload: v.object({ protocol: v.string(), field: v.string() }) }),
    v.object({ meta: v.object({ key: v.string() }) }),
    v.object({ ct: v.object({ key: v.string() }) }),
  ]),
  right: v.custom<JsonValue>(() => true),
});

/** Evaluates a `match` statement as `nft -j` lists it. */
export function matchOf(statement: JsonValue, network: Prefix): Match {
  const { success, output } = v.safeParse(test, statement);
  if (!success || !['==', '!=', 'in'].includes(output.op)) return PERHAPS;
  const found = equalityOf(output.left, alternativesOf(output.right), network);
  return output.op === '!=' ? negate(found) : found;
}

function negate(match: Match): Match {
  const truth = { yes: 'no', no: 'yes', perhaps: 'perhaps' } as const;
  return { ...match, truth: truth[match.truth] };
}

function alternativesOf(right: JsonValue): readonly JsonValue[] {
  const { success, output } = v.safeParse(v.object({ set: v.array(v.custom<JsonValue>(() => true)) }), right);
  if (success) return output.set;
  return Array.isArray(right) ? right : [right as JsonValue];
}

function equalityOf(
  left: v.InferOutput<typeof test>['left'],
  values: readonly JsonValue[],
  network: Prefix,
): Match {
  if ('payload' in left) {
    const { protocol, field } = left.payload;
    if (protocol === 'ip6') return NO;
    if (protocol !== 'ip' || (field !== 'saddr' && field !== 'daddr')) return PERHAPS;
    return anyOf(values.map((value) => addressMatch(value, network)));
  }
  if ('ct' in left) {
    const states = left.ct.key === 'state' ? NOT_NEW : left.ct.key === 'status' ? TRANSLATED : undefined;
    if (states === undefined) return PERHAPS;
    return anyOf(values.map((value) => (value === 'new' ? YES : states.has(value) ? NO : PERHAPS)));
  }
  switch (left.meta.key) {
    case 'nfproto':
    case 'protocol':
      return anyOf(values.map((value) => (value === 'ipv4' || value === 'ip' ? YES : NO)));
    case 'iif':
    case 'oif':
    case 'iifname':
    case 'oifname':
      return anyOf(values.map(linkMatch));
    default:
      return PERHAPS;
  }
}

const NOT_NEW: ReadonlySet<JsonValue> = new Set(['established', 'related', 'invalid', 'untracked']);
const TRANSLATED: ReadonlySet<JsonValue> = new Set(['dnat', 'snat']);

function anyOf(matches: readonly Match[]): Match {
  const isAboutUs = matches.some((match) => match.isAboutUs);
  const truths = new Set(matches.map(({ truth }) => truth));
  return { truth: truths.has('yes') ? 'yes' : truths.has('perhaps') ? 'perhaps' : 'no', isAboutUs };
}

// Forwarded packets neither come from nor go to the loopback.
function linkMatch(name: JsonValue): Match {
  if (name === 'lo') return NO;
  return { truth: 'perhaps', isAboutUs: typeof name === 'string' && matchesOwnName(name) };
}

const prefixValue = v.object({ prefix: v.object({ addr: v.string(), len: v.number() }) });
const rangeValue = v.object({ range: v.tuple([v.string(), v.string()]) });

function addressMatch(value: JsonValue, network: Prefix): Match {
  const range = v.safeParse(rangeValue, value);
  if (range.success) return rangeMatch(range.output.range, network);
  const prefix = prefixOf(value);
  // The name of a set, or an expression.
  if (prefix === undefined) return PERHAPS;
  if (containsPrefix(prefix, network)) return { truth: 'yes', isAboutUs: prefix.length === network.length };
  return overlaps(prefix, network) ? { truth: 'perhaps', isAboutUs: true } : NO;
}

function prefixOf(value: JsonValue): Prefix | undefined {
  const block = v.safeParse(prefixValue, value);
  const text = block.success ? block.output.prefix.addr : value;
  const parsed = typeof text === 'string' ? parseAddress(text) : undefined;
  if (parsed === undefined) return undefined;
  return block.success ? { ...parsed, length: block.output.prefix.len } : hostPrefix(parsed.address);
}

function rangeMatch(texts: readonly [string, string], network: Prefix): Match {
  const [first, last] = texts.map((text) => parseAddress(text));
  if (first?.family !== 'ipv4' || last?.family !== 'ipv4') return PERHAPS;
  const [from, to, start] = [first, last, network].map(({ address }) => addressBits(address));
  if (from === undefined || to === undefined || start === undefined) return PERHAPS;
  const end = start + (1n << BigInt(32 - network.length)) - 1n;
  if (from <= start && end <= to) return { truth: 'yes', isAboutUs: from === start && end === to };
  return to < start || end < from ? NO : { truth: 'perhaps', isAboutUs: true };
}

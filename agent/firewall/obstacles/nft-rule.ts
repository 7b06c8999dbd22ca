// Parses rules as `nft -j` lists them. A statement in an unknown form may do anything. Pure.
import type { JsonValue } from '../../base/schema.ts';
import * as v from '../../base/valibot.ts';
import { parseAddress } from '../../model/ip.ts';
import { type AddressRange, numberOf, rangeOf } from './flow.ts';
import {
  type Comparison,
  type ForeignRule,
  type MapEntry,
  type MarkChange,
  NEVER,
  PERHAPS,
  type RulePart,
  type RuleTest,
  type RuleVerdict,
  UNKNOWN,
} from './foreign-rule.ts';
import { formatNftRule } from './nft-rule-text.ts';

/** The elements of a named map, as nft lists them; undefined: unknown. */
export type NamedMap = (name: string) => JsonValue | undefined;

const json = v.custom<JsonValue>(() => true);
const ruleSchema = v.object({ expr: v.array(v.record(v.string(), json)), comment: v.optional(v.string()) });

/** Parses the value of a `rule` of nft. */
export function parseNftRule(rule: JsonValue, named: NamedMap): ForeignRule {
  const { success, output } = v.safeParse(ruleSchema, rule);
  if (!success) return { text: '?', parts: [UNKNOWN] };
  const statements = output.expr.flatMap((statement) => Object.entries(statement));
  const text = formatNftRule(statements, output.comment);
  return { text, parts: statements.flatMap(([kind, value]) => parseStatement(kind, value, named)) };
}

/** The names of the maps that a listing of rules looks up by one property that is evaluated here. */
export function mapsIn(rules: readonly JsonValue[]): readonly string[] {
  const names = rules.flatMap((rule) => {
    const { success, output } = v.safeParse(ruleSchema, rule);
    if (!success) return [];
    return output.expr.flatMap((statement) => {
      const map = v.safeParse(vmap, statement['vmap']);
      if (!map.success || typeof map.output.data !== 'string') return [];
      const [key] = comparisonsOf(map.output.key, [null]);
      return key === undefined || key.of === 'constant' ? [] : [map.output.data.slice('@'.length)];
    });
  });
  return [...new Set(names)];
}

/** Whether a rule has an extension of iptables of which the name, which is all that nft tells, is not enough. */
export function hasUnclearExtension(rule: JsonValue): boolean {
  const { success, output } = v.safeParse(ruleSchema, rule);
  if (!success) return false;
  const extensions = output.expr.flatMap(({ xt }) => (xt === undefined ? [] : parseExtension(xt)));
  return extensions.some((part) => part === PERHAPS || part === UNKNOWN || part.kind !== 'verdict');
}

/** The chains that the rules call. */
export function callsIn(rules: readonly JsonValue[]): ReadonlySet<string> {
  const calls = rules.flatMap((rule) => {
    const { success, output } = v.safeParse(ruleSchema, rule);
    if (!success) return [];
    return output.expr.flatMap((statement) => {
      const found = v.safeParse(call, statement['jump'] ?? statement['goto']);
      return found.success ? [found.output.target] : [];
    });
  });
  return new Set(calls);
}

const test = v.object({ op: v.string(), left: json, right: json });
const vmap = v.object({ key: json, data: json });
const call = v.object({ target: v.string() });
const extension = v.object({ type: v.string(), name: v.string() });
const setOf = v.object({ set: v.array(json) });
const element = v.object({ elem: v.object({ val: json }) });

function parseStatement(kind: string, value: JsonValue, named: NamedMap): readonly RulePart[] {
  switch (kind) {
    case 'match':
      return [parseMatch(value)];
    case 'mangle':
      return parseMangle(value);
    case 'vmap':
      return [parseMap(value, named)];
    case 'xt':
      return parseExtension(value);
    case 'counter':
    case 'log':
    case 'flow':
      return [];
    case 'notrack':
      return [{ kind: 'untrack' }];
    default:
      return [parseVerdict(kind, value) ?? PERHAPS];
  }
}

function parseVerdict(kind: string, value: JsonValue): RuleVerdict | undefined {
  switch (kind) {
    case 'accept':
    case 'drop':
    case 'return':
      return { kind: 'verdict', verdict: kind };
    case 'reject':
      return { kind: 'verdict', verdict: 'drop' };
    case 'continue':
      return { kind: 'verdict', verdict: 'none' };
    case 'jump':
    case 'goto': {
      const { success, output } = v.safeParse(call, value);
      return success ? { kind: 'verdict', verdict: kind, target: output.target } : UNKNOWN;
    }
    case 'masquerade':
      return { kind: 'verdict', verdict: 'rewrite' };
    case 'snat':
      return { kind: 'verdict', verdict: v.is(sameSource, value) ? 'keep' : 'rewrite' };
    case 'queue':
      return UNKNOWN;
    default:
      return undefined;
  }
}

const sameSource = v.object({
  addr: v.object({ payload: v.object({ protocol: v.literal('ip'), field: v.literal('saddr') }) }),
});

const NEUTRAL_TARGETS = new Set(['LOG', 'NFLOG', 'TCPMSS', 'TRACE', 'CHECKSUM']);
const REWRITING_TARGETS = new Set(['MASQUERADE', 'SNAT', 'NETMAP']);

function parseExtension(value: JsonValue): readonly RulePart[] {
  const { success, output } = v.safeParse(extension, value);
  if (!success) return [PERHAPS];
  const { type, name } = output;
  if (type !== 'target') return name === 'comment' ? [] : [PERHAPS];
  if (name === 'REJECT') return [{ kind: 'verdict', verdict: 'drop' }];
  if (name === 'CT' || name === 'NOTRACK') return [{ kind: 'untrack' }];
  if (name === 'MARK' || name === 'CONNMARK') return [{ kind: 'mark', mask: ALL_BITS, value: undefined }];
  if (REWRITING_TARGETS.has(name)) return [{ kind: 'verdict', verdict: 'rewrite' }];
  return NEUTRAL_TARGETS.has(name) ? [] : [UNKNOWN];
}

function parseMatch(value: JsonValue): RuleTest {
  const { success, output } = v.safeParse(test, value);
  if (!success || !['==', '!=', 'in'].includes(output.op)) return PERHAPS;
  const [comparison] = comparisonsOf(output.left, alternativesOf(output.right));
  return comparison === undefined ? PERHAPS : { kind: 'test', isNegated: output.op === '!=', ...comparison };
}

function alternativesOf(right: JsonValue): readonly JsonValue[] {
  const { success, output } = v.safeParse(setOf, right);
  if (success) return output.set;
  return Array.isArray(right) ? right : [right as JsonValue];
}

const payload = v.object({ payload: v.object({ protocol: v.string(), field: v.string() }) });
const meta = v.object({ meta: v.object({ key: v.string() }) });
const ct = v.object({ ct: v.object({ key: v.string() }) });
const masked = v.object({ '&': v.tuple([meta, v.number()]) });
const ALL_BITS = 0xffff_ffff;

/** The comparison of a property with values; empty: the property is not evaluated here. */
function comparisonsOf(left: JsonValue, found: readonly JsonValue[]): readonly Comparison[] {
  const values = found.map((value) => {
    const { success, output } = v.safeParse(element, value);
    return success ? output.elem.val : value;
  });
  if (v.is(payload, left)) {
    const { protocol, field } = left.payload;
    if (protocol === 'ip6') return [NEVER];
    if (protocol !== 'ip' || (field !== 'saddr' && field !== 'daddr')) return [];
    return [{ of: field === 'saddr' ? 'source' : 'destination', values: values.map(rangeIn) }];
  }
  if (v.is(ct, left)) {
    return ['state', 'status'].includes(left.ct.key) ? [{ of: 'state', values: values.map(textIn) }] : [];
  }
  if (v.is(masked, left) && left['&'][0].meta.key === 'mark')
    return [{ of: 'mark', mask: left['&'][1], values: values.map(numberIn) }];
  if (!v.is(meta, left)) return [];
  switch (left.meta.key) {
    case 'nfproto':
    case 'protocol':
      return [{ of: 'constant', values: values.map((value) => value === 'ipv4' || value === 'ip') }];
    case 'iif':
    case 'iifname':
      return [{ of: 'linkIn', values: values.map(textIn) }];
    case 'oif':
    case 'oifname':
      return [{ of: 'linkOut', values: values.map(textIn) }];
    case 'mark':
      return [{ of: 'mark', mask: ALL_BITS, values: values.map(numberIn) }];
    default:
      return [];
  }
}

// The name of a set is none of a link or a state.
function textIn(value: JsonValue): string | undefined {
  return typeof value === 'string' && !value.startsWith('@') ? value : undefined;
}

function numberIn(value: JsonValue): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

const prefixValue = v.object({ prefix: v.object({ addr: v.string(), len: v.number() }) });
const rangeValue = v.object({ range: v.tuple([v.string(), v.string()]) });

/** Undefined: the name of a set, or an expression. */
function rangeIn(value: JsonValue): AddressRange | undefined {
  const range = v.safeParse(rangeValue, value);
  if (range.success) {
    const [first, last] = range.output.range.map(addressIn);
    return first === undefined || last === undefined ? undefined : [first, last];
  }
  const block = v.safeParse(prefixValue, value);
  if (!block.success) {
    const address = typeof value === 'string' ? addressIn(value) : undefined;
    return address === undefined ? undefined : [address, address];
  }
  const { addr: address, len: length } = block.output.prefix;
  if (addressIn(address) === undefined || !(length >= 0 && length <= 32)) return undefined;
  return rangeOf({ family: 'ipv4', address, length });
}

function addressIn(text: string): number | undefined {
  return parseAddress(text)?.family === 'ipv4' ? numberOf(text) : undefined;
}

function parseMap(value: JsonValue, named: NamedMap): RuleVerdict {
  const { success, output } = v.safeParse(vmap, value);
  if (!success) return UNKNOWN;
  const { key, data } = output;
  const set = v.safeParse(setOf, data);
  const elements = set.success ? set.output.set : typeof data === 'string' ? named(data.slice(1)) : undefined;
  if (!Array.isArray(elements)) return UNKNOWN;
  return { kind: 'verdict', verdict: 'map', entries: elements.map((entry) => parseEntry(key, entry)) };
}

function parseEntry(key: JsonValue, entry: JsonValue): MapEntry {
  const pair = v.safeParse(v.tuple([json, v.record(v.string(), json)]), entry);
  if (!pair.success) return { test: PERHAPS, verdict: UNKNOWN };
  const [value, outcome] = pair.output;
  const [comparison] = comparisonsOf(key, [value as JsonValue]);
  const [[kind, target] = ['', null]] = Object.entries(outcome);
  return {
    test: comparison === undefined ? PERHAPS : { kind: 'test', isNegated: false, ...comparison },
    verdict: parseVerdict(kind, target as JsonValue) ?? UNKNOWN,
  };
}

const mangling = v.object({ key: json, value: json });

function parseMangle(value: JsonValue): readonly MarkChange[] {
  const { success, output } = v.safeParse(mangling, value);
  if (!success) return [{ kind: 'mark', mask: ALL_BITS, value: undefined }];
  if (!v.is(meta, output.key) || output.key.meta.key !== 'mark') return [];
  return [{ kind: 'mark', ...markIn(output.value) }];
}

const or = v.object({ '|': v.tuple([meta, v.number()]) });

function markIn(value: JsonValue): { readonly mask: number; readonly value: number | undefined } {
  if (typeof value === 'number') return { mask: ALL_BITS, value };
  const isMark = (left: { readonly meta: { readonly key: string } }): boolean => left.meta.key === 'mark';
  if (v.is(or, value) && isMark(value['|'][0])) return { mask: value['|'][1], value: value['|'][1] };
  if (v.is(masked, value) && isMark(value['&'][0])) return { mask: ~value['&'][1] >>> 0, value: 0 };
  return { mask: ALL_BITS, value: undefined };
}

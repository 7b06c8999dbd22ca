// Formats a foreign rule of nftables for a message, in nft's words as far as people need them. Pure.
import type { JsonValue } from '../../base/schema.ts';
import { excerpt } from '../../base/schema.ts';
import { LIMITS } from '../limits.ts';

/** Formats the statements of a rule and its comment: `ip daddr 10.5.34.2 iifname != docker0 drop`. */
export function formatNftRule(
  statements: readonly (readonly [kind: string, value: JsonValue])[],
  comment?: string,
): string {
  const words = statements.flatMap(([kind, value]) => formatStatement(kind, value));
  if (comment !== undefined) words.push('comment', comment);
  return shorten(words.join(' '));
}

/** Shortens the text of a rule, which others have written. */
export function shorten(text: string): string {
  return text.length <= LIMITS.ruleChars ? text : `${text.slice(0, LIMITS.ruleChars)}…`;
}

function formatStatement(kind: string, value: JsonValue): readonly string[] {
  switch (kind) {
    case 'counter':
      return [];
    case 'match': {
      const op = field(value, 'op') === '!=' ? ['!='] : [];
      return [formatValue(field(value, 'left')), ...op, formatValue(field(value, 'right'))];
    }
    case 'jump':
    case 'goto':
      return [kind, formatValue(field(value, 'target'))];
    case 'vmap':
      return [formatValue(field(value, 'key')), 'vmap', formatValue(field(value, 'data'))];
    case 'xt':
      return [formatValue(field(value, 'name'))];
    default:
      return [kind];
  }
}

function field(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Readonly<Record<string, JsonValue>>)[name]
    : undefined;
}

function formatValue(value: JsonValue | undefined): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  if (Array.isArray(value)) return value.map(formatValue).join(',');
  const inner = (name: string): JsonValue | undefined => field(value, name);
  const { payload, meta, ct, prefix, set, range } = {
    payload: inner('payload'),
    meta: inner('meta'),
    ct: inner('ct'),
    prefix: inner('prefix'),
    set: inner('set'),
    range: inner('range'),
  };
  if (payload !== undefined)
    return `${formatValue(field(payload, 'protocol'))} ${formatValue(field(payload, 'field'))}`;
  if (meta !== undefined) return formatValue(field(meta, 'key'));
  if (ct !== undefined) return `ct ${formatValue(field(ct, 'key'))}`;
  if (prefix !== undefined)
    return `${formatValue(field(prefix, 'addr'))}/${formatValue(field(prefix, 'len'))}`;
  if (Array.isArray(set)) return `{ ${set.map(formatValue).join(', ')} }`;
  if (Array.isArray(range)) return range.map(formatValue).join('-');
  return value === undefined ? '?' : excerpt(value, 40);
}

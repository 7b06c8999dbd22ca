// Checks values from outside. A finding of the schema library becomes one line for the operator: the place, the rule
// and the value.
import { type ErrorCode, type ErrorDetails, messageOf, TwillError } from './errors.ts';
import { escapeUnprintable, printableJson } from './printable.ts';
import * as v from './valibot.ts';

/** Any JSON value. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** Formats a hostile or long value for a message, and shortens it. */
export function excerpt(value: unknown, limit = 80): string {
  const text = printableJson(value);
  return text.length <= limit ? text : `${text.slice(0, limit)}…`;
}

/**
 * Checks `value` against `schema` and returns the parsed value.
 *
 * `where` names the source of the value (a key, a file, a flag) and starts the message. Fails as `code` with one line:
 * `/coreos.com/network/config: SubnetLen: must be at most 30, is 31`.
 */
export function parseWith<T>(
  schema: v.GenericSchema<unknown, T>,
  value: unknown,
  where: string,
  code: ErrorCode = 'config',
): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = v.getDotPath(issue);
  const at = path === null ? where : `${where}: ${path}`;
  const found = issue.input === undefined ? 'missing' : excerpt(issue.input);
  throw new TwillError(code, `${at}: ${issue.message}, is ${found}`);
}

// Our values need far less, and recursive code can walk a value of this depth.
const MAX_DEPTH = 64;

function isShallow(value: unknown): boolean {
  let level: readonly unknown[] = [value];
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    level = level.flatMap((item) => (item !== null && typeof item === 'object' ? Object.values(item) : []));
    if (level.length === 0) return true;
  }
  return false;
}

const BYTE_ORDER_MARK = '\ufeff';
const NO_BYTE_ORDER_MARK = { hint: 'save the text as UTF-8 without a byte order mark' };

/** Parses JSON text and checks it. Malformed JSON fails with one line that says where it breaks. */
export function parseJson<T>(
  schema: v.GenericSchema<unknown, T>,
  text: string,
  where: string,
  code: ErrorCode = 'config',
): T {
  const refusal = (why: string, details: ErrorDetails): TwillError =>
    new TwillError(code, `${where}: not valid JSON: ${why}`, details);
  if (text.startsWith(BYTE_ORDER_MARK)) throw refusal('it begins with a byte order mark', NO_BYTE_ORDER_MARK);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal(escapeUnprintable(messageOf(error)), { cause: error });
  }
  if (!isShallow(value)) throw new TwillError(code, `${where}: nested more than ${MAX_DEPTH} levels deep`);
  return parseWith(schema, value, where, code);
}

/**
 * Reads the fields of a JSON object as Go does, and so flannel: a name counts in any case, the last of several values
 * counts, and null is no value. Only the `known` names are looked at. A value that is no object passes unchanged.
 */
export function withKnownNames(value: unknown, known: readonly string[]): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  const fields = Object.entries(value).flatMap(([name, item]): [string, unknown][] => {
    const knownName = known.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
    return knownName !== undefined && item === null ? [] : [[knownName ?? name, item]];
  });
  return Object.fromEntries(fields);
}

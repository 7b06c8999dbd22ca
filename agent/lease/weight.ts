// The memory that a lease takes beyond what each lease takes.
import type { JsonValue } from '../base/schema.ts';
import type { Lease } from '../model/lease.ts';

/** Of an object, a list or a field, in bytes; about what V8 needs. */
const NODE_BYTES = 40;

/** About how many bytes the backends' facts and the foreign fields of a lease take. */
export function weightOf({ attrs }: Lease): number {
  const { backendData, backendType, extra } = attrs;
  return backendType.length + weigh(backendData.ipv4) + weigh(backendData.ipv6) + weigh(extra);
}

// Not deep: the parser refuses values that are.
function weigh(value: JsonValue | undefined): number {
  if (typeof value === 'string') return NODE_BYTES + value.length;
  if (value === null || typeof value !== 'object') return NODE_BYTES;
  let bytes = NODE_BYTES;
  if (Array.isArray(value)) for (const item of value) bytes += weigh(item);
  else for (const [name, item] of Object.entries(value)) bytes += name.length + weigh(item);
  return bytes;
}

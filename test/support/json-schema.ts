// Checks a value against the part of JSON Schema that our schemas use. A member that the schema does not name is a
// fault here, so that a schema cannot lag behind.
type Schema = Readonly<Record<string, unknown>>;

/** The faults of a value, a line each. */
export function schemaFaults(
  root: Schema,
  value: unknown,
  schema: Schema = root,
  path = '$',
): readonly string[] {
  const reference = schema['$ref'];
  if (typeof reference === 'string') {
    const definitions = root['$defs'] as Readonly<Record<string, Schema>>;
    return schemaFaults(root, value, definitions[reference.replace('#/$defs/', '')], path);
  }
  const { type, enum: choices, const: only, properties, required, items, maxItems, format, minimum } = schema;
  const faults: string[] = [];
  const types = [type ?? []]
    .flat()
    .map((name: unknown) => (typeof name === 'string' ? name : JSON.stringify(name)));
  if (types.length > 0 && ![type].flat().some((name) => isOf(name, value)))
    faults.push(`${path}: is no ${types.join(' or ')}`);
  if (only !== undefined && value !== only) faults.push(`${path}: is not ${JSON.stringify(only)}`);
  if (Array.isArray(choices) && !choices.includes(value)) faults.push(`${path}: is none of its words`);
  if (format === 'date-time' && typeof value === 'string' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value))
    faults.push(`${path}: is no time`);
  if (typeof minimum === 'number' && typeof value === 'number' && value < minimum)
    faults.push(`${path}: is less than ${minimum}`);
  if (Array.isArray(value)) {
    if (typeof maxItems === 'number' && value.length > maxItems) faults.push(`${path}: has too many items`);
    if (items !== undefined)
      faults.push(...value.flatMap((item, i) => schemaFaults(root, item, items as Schema, `${path}[${i}]`)));
  } else if (typeof value === 'object' && value !== null && properties !== undefined) {
    const known = properties as Readonly<Record<string, Schema>>;
    for (const name of (required ?? []) as readonly string[])
      if (!(name in value)) faults.push(`${path}.${name}: is missing`);
    for (const [name, member] of Object.entries(value)) {
      const of = known[name];
      if (of === undefined) faults.push(`${path}.${name}: is not in the schema`);
      else faults.push(...schemaFaults(root, member, of, `${path}.${name}`));
    }
  }
  return faults;
}

function isOf(name: unknown, value: unknown): boolean {
  if (name === 'null') return value === null;
  if (name === 'array') return Array.isArray(value);
  if (name === 'integer') return Number.isInteger(value);
  return typeof value === name && value !== null && !Array.isArray(value);
}

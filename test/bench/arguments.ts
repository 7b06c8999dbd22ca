// The options of benchmarks are whole numbers.
import { parseArgs } from 'node:util';

/** Parses `--name N` for each name in `defaults`. Throws an error of one line about any other argument. */
export function readCounts<Name extends string>(
  args: readonly string[],
  defaults: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const counts: Record<Name, number> = { ...defaults };
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' } as const]));
  const { values } = parseArgs({ args: [...args], options });
  for (const name of names) {
    const text = values[name];
    if (text === undefined) continue;
    if (typeof text !== 'string' || !/^[1-9]\d{0,5}$/.test(text)) {
      throw new Error(`--${name}: must be a whole number from 1 to 999999, is "${String(text)}"`);
    }
    counts[name] = Number(text);
  }
  return counts;
}

// The answer to a scrape, held to the table of families.
import { type Family, METRIC_FAMILIES } from '../../agent/model/metric-families.ts';

const FAMILIES: Readonly<Record<string, Family>> = METRIC_FAMILIES;

/** The family of a series or of a part of a histogram; undefined: there is none of that name. */
export function familyOf(name: string): Family | undefined {
  const family = FAMILIES[name];
  if (family !== undefined) return family.type === 'histogram' ? undefined : family;
  const whole = FAMILIES[name.replace(/_(?:bucket|sum|count)$/, '')];
  return whole?.type === 'histogram' ? whole : undefined;
}

/** The numbers by name and labels, as they stand in the text: `twill_peers{state="routed"}`. */
export function readScrape(text: string): ReadonlyMap<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const blank = line.lastIndexOf(' ');
      return [line.slice(0, blank), Number(line.slice(blank + 1))];
    }),
  );
}

/** The series that the table does not have. */
export function strangersIn(text: string): readonly string[] {
  return [...readScrape(text).keys()].filter((series) => {
    const [, name = '', pairs = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? [];
    const family = familyOf(name);
    if (family === undefined) return true;
    const { labels = {} } = family;
    const given = [...pairs.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].filter(([, label]) => label !== 'le');
    const isKnown = given.every(([, label = '', value = '']) => {
      const values = labels[label];
      return label in labels && (values === undefined || values.includes(value));
    });
    return !isKnown || given.length !== Object.keys(labels).length;
  });
}

// README's table of metrics, made of the table in the code.
import { type Family, METRIC_FAMILIES } from '../../agent/model/metric-families.ts';

/** Ends of the table in README. */
export const TABLE_MARKS = ['<!-- metrics: npm run metrics -->\n', '<!-- end of metrics -->\n'] as const;

/** The table in Markdown. */
export function metricsTable(): string {
  const rows = Object.entries(METRIC_FAMILIES as Readonly<Record<string, Family>>).map(
    ([name, { type, help, labels }]) => `| \`${name}\` | ${type} | ${help}${describe(labels)} |\n`,
  );
  return `| metric | type | meaning |\n| --- | --- | --- |\n${rows.join('')}`;
}

/** The page with its table made anew. Throws without the marks. */
export function withTable(page: string): string {
  const [begin, end] = TABLE_MARKS;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error('README has no marks of the table of metrics');
  return `${page.slice(0, from + begin.length)}${metricsTable()}${page.slice(to)}`;
}

function describe(labels: Family['labels'] = {}): string {
  return Object.entries(labels)
    .map(([name, values]) => ` \`${name}\`${values === undefined ? '' : `: ${values.join(', ')}`}.`)
    .join('');
}

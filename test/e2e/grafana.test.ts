// The alerts and the dashboard of deploy/grafana: promtool reads them, and they ask for metrics that exist.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { promtool, promtoolFailure } from '../lab/promtool.ts';
import { title } from '../support/needs.ts';
import { familyOf } from '../support/scrape.ts';

const FAILURE = await promtoolFailure();
const NEEDS = { missing: FAILURE !== undefined, reason: FAILURE ?? '' };
const ALERTS = 'deploy/grafana/alerts.yaml';

interface Target {
  readonly expr: string;
  readonly datasource: { readonly uid: string };
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly Target[];
}

interface Variable {
  readonly name: string;
  readonly type: string;
  readonly query: string | { readonly query: string };
  readonly multi?: boolean;
  readonly allValue?: string;
  readonly refresh?: number;
}

interface Dashboard {
  readonly editable: boolean;
  readonly templating: { readonly list: readonly Variable[] };
  readonly panels: readonly Panel[];
}

/** The names of series in queries, labels and texts left out. */
function namesIn(queries: string): readonly string[] {
  const bare = queries.replaceAll(/"[^"]*"/g, '').replaceAll(/\{[^}]*\}/g, '');
  return [...new Set(bare.match(/\b(?:twill|process)_\w+/g))];
}

const unknownIn = (queries: string): readonly string[] =>
  namesIn(queries).filter((name) => familyOf(name) === undefined);

async function checkRules(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'twill-rules-'));
  try {
    await writeFile(join(folder, 'rules.yaml'), text);
    return await promtool(['check', 'rules', join(folder, 'rules.yaml')]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('the alerts', () => {
  const text = readFile(join(PROJECT_ROOT, ALERTS), 'utf8');

  it.skipIf(NEEDS.missing)(title('each alert is raised in its case, and in no other', NEEDS), async () => {
    expect(await promtool(['test', 'rules', join(PROJECT_ROOT, 'test/e2e/alerts.yaml')])).toBe('');
  });

  it('each alert has a test, and asks for metrics that exist', async () => {
    const alerts = [...(await text).matchAll(/alert: (\w+)/g)].map(([, name = '']) => name);
    const tests = await readFile(join(PROJECT_ROOT, 'test/e2e/alerts.yaml'), 'utf8');
    const raised = new Set([...tests.matchAll(/alertname: (\w+)\n/g)].map(([, name = '']) => name));
    expect([...raised].toSorted()).toEqual(alerts.toSorted());
    const expressions = (await text).split('\n').filter((line) => !/summary|description/.test(line));
    expect(namesIn(expressions.join('\n')).length).toBeGreaterThan(4);
    expect(unknownIn(expressions.join('\n'))).toEqual([]);
  });
});

describe('the dashboard', async () => {
  const dashboard = JSON.parse(
    await readFile(join(PROJECT_ROOT, 'deploy/grafana/dashboard.json'), 'utf8'),
  ) as Dashboard;
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  it('each query asks for metrics that exist, of the chosen jobs and instances alone', () => {
    expect(queries.length).toBeGreaterThan(20);
    expect(unknownIn(queries.join('\n'))).toEqual([]);
    const selectors = queries.flatMap((query) =>
      query.match(/\b(?:twill_\w+|process_\w+|up)\b(?:\{[^}]*\})?/g),
    );
    expect(selectors.filter((selector) => !selector?.includes('{job=~"$job",instance=~"$instance"'))).toEqual(
      [],
    );
    expect(
      queries.filter((query) => query.includes('rate(') && !query.includes('[$__rate_interval]')),
    ).toEqual([]);
  });

  it.skipIf(NEEDS.missing)(title('promtool reads each query', NEEDS), async () => {
    const rules = queries.map((query, i) => {
      const expression = query.replaceAll('$__rate_interval', '5m').replaceAll(/\$(?:job|instance)/g, '.+');
      return `- {record: "dashboard:query:${i}", expr: ${JSON.stringify(expression)}}`;
    });
    const file = `groups: [{name: dashboard, rules: [\n${rules.map((rule) => rule.slice(2)).join(',\n')}\n]}]\n`;
    expect(await checkRules(file)).toBe('');
    expect(await checkRules(file.replace('sum(', 'sum(('))).toContain('exit code');
  });

  it('each panel has a title, a description, a unit, the chosen data source and a place of its own', () => {
    const poor = panels.filter(
      ({ title: name, description, fieldConfig, datasource, targets = [] }) =>
        name === '' ||
        description === undefined ||
        fieldConfig?.defaults.unit === undefined ||
        datasource?.uid !== '$datasource' ||
        targets.length === 0 ||
        targets.some((target) => target.datasource.uid !== '$datasource'),
    );
    expect(poor.map((panel) => panel.title)).toEqual([]);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
  });

  it('the variables are the data source, and jobs and instances that are read anew with the time', () => {
    const { list } = dashboard.templating;
    expect(list.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'datasource datasource',
      'job query',
      'instance query',
    ]);
    expect(list.slice(1).map(({ multi, allValue, refresh }) => [multi, allValue, refresh])).toEqual([
      [true, '.+', 2],
      [true, '.+', 2],
    ]);
    expect(
      list.slice(1).flatMap(({ query }) => unknownIn(JSON.stringify(query).replaceAll('\\"', "'"))),
    ).toEqual([]);
    expect(dashboard.editable).toBe(false);
  });
});

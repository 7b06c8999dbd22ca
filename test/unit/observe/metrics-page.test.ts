// The table of metrics against the code and the page.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CONDITION_PARTS, type Family, METRIC_FAMILIES } from '../../../agent/model/metric-families.ts';
import { withTable } from '../../lab/metrics-table.ts';
import { PROJECT_ROOT } from '../../lab/paths.ts';

const FAMILIES = Object.entries(METRIC_FAMILIES as Readonly<Record<string, Family>>);

const sources = ['agent', 'backends']
  .flatMap((folder) =>
    readdirSync(join(PROJECT_ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
      join(PROJECT_ROOT, folder, path),
    ),
  )
  .filter(
    (path) => path.endsWith('.ts') && !path.includes('node_modules') && !path.includes('/dgram-native/'),
  )
  .filter((path) => !path.endsWith('/metric-families.ts'))
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');

describe('the table of metrics', () => {
  it("README has it as it is in the code; `npm run metrics` writes README's", () => {
    const page = readFileSync(join(PROJECT_ROOT, 'README.md'), 'utf8');
    expect(withTable(page)).toBe(page);
  });

  it('each family is offered by a part', () => {
    expect(FAMILIES.map(([name]) => name).filter((name) => !sources.includes(`'${name}'`))).toEqual([]);
  });

  it('the names, units and words are those that Prometheus wants', () => {
    const wrong = FAMILIES.filter(
      ([name, { type, help }]) =>
        !/^(?:twill|process)(?:_[a-z]+)+$/.test(name) ||
        name.endsWith('_total') !== (type === 'counter') ||
        (type === 'histogram' && !name.endsWith('_seconds')) ||
        !/^[A-Z].*\.$/.test(help),
    );
    expect(wrong).toEqual([]);
  });

  it('every part of the code that has a condition is in the table', () => {
    const parts = [...sources.matchAll(/(?:createConditionSlot\(|part: )'([\w -]+)'/g)].map(
      ([, part = '']) => part,
    );
    const ofTheKernel = [...sources.matchAll(/return \{ part: '(kernel)'/g)].map(([, part = '']) => part);
    expect([...new Set([...parts, ...ofTheKernel])].toSorted()).toEqual([...CONDITION_PARTS]);
  });
});

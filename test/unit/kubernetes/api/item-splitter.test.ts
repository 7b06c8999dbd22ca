import { describe, expect, it } from 'vitest';
import { createItemSplitter } from '../../../../agent/kubernetes/api/item-splitter.ts';
import { LIMITS } from '../../../../agent/kubernetes/api/limits.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';

function split(chunks: readonly Buffer[]): {
  readonly items: readonly unknown[];
  readonly envelope: unknown;
} {
  const items: unknown[] = [];
  const splitter = createItemSplitter((bytes) => items.push(JSON.parse(bytes.toString())));
  for (const chunk of chunks) splitter.push(chunk);
  return { items, envelope: JSON.parse(splitter.end().toString()) };
}

const TRICKY = [
  { name: 'a "quoted" ] } , text', nested: [[{ items: [1, [2], {}] }], []] },
  {},
  { text: 'ends with a backslash \\', more: '\\"}]' },
  { unicode: 'Zürich \u2028 🙂', items: [] },
];

describe('the item splitter', () => {
  it.each([
    ['compact', JSON.stringify],
    ['indented', (value: unknown) => JSON.stringify(value, undefined, 2)],
  ])('finds the objects of a %s list wherever it is cut', (_, format) => {
    const whole = { kind: 'NodeList', metadata: { continue: 'x"items":[' }, items: TRICKY, more: [[{}]] };
    const bytes = Buffer.from(format(whole));
    const expected = { items: TRICKY, envelope: { ...whole, items: [] } };
    for (let at = 0; at <= bytes.length; at++)
      expect(split([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(expected);
    const random = seededRandom(1);
    for (let round = 0; round < 200; round++) {
      const chunks: Buffer[] = [];
      for (let from = 0; from < bytes.length; ) {
        const to = from + Math.ceil(random() * 9);
        chunks.push(bytes.subarray(from, to));
        from = to;
      }
      expect(split(chunks)).toEqual(expected);
    }
  });

  it.each(['{"metadata":{},"items":null}', '{"metadata":{},"items":[]}', '{"metadata":{}}'])(
    'finds nothing in %s',
    (text) => {
      expect(split([Buffer.from(text)])).toEqual({ items: [], envelope: JSON.parse(text) });
    },
  );

  it.each([
    ['something else than an object', '{"items":[1]}', 'no object'],
    ['a list without an end', '{"items":[{}', 'no end'],
    ['a text without an end', '{"items":["', 'no object'],
    ['nothing', '', 'no end'],
    ['an object that is too large', `{"items":[{"a":"${'x'.repeat(LIMITS.objectBytes)}"}]}`, 'larger than'],
    ['a list that is none', `{"other":"${'x'.repeat(LIMITS.envelopeBytes)}"}`, 'not a list'],
  ])('refuses %s', (_, text, reason) => {
    expect(() => split([Buffer.from(text)])).toThrow(reason);
  });
});

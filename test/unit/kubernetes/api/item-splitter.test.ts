import { describe, expect, it } from 'vitest';
import { createItemSplitter } from '../../../../agent/kubernetes/api/item-splitter.ts';
import { LIMITS } from '../../../../agent/kubernetes/api/limits.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';

function split(chunks: readonly Buffer[]): {
  readonly items: readonly unknown[];
  readonly envelope: unknown;
} {
  const items: unknown[] = [];
  const splitter = createItemSplitter((object) => items.push(object));
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

  it('finds objects as the API writes them, with lists of such objects inside, wherever they are cut', () => {
    const random = seededRandom(3);
    const inner = { metadata: { name: 'a "}},{"metadata":{" text' } };
    const items = Array.from({ length: 60 }, (_, i) => ({
      metadata: { name: `n${i}`, text: 'x'.repeat(random() * 5_000) },
      spec: i % 7 === 0 ? { templates: Array.from({ length: i }, () => ({ ...inner, spec: { i } })) } : {},
      status: i % 11 === 5 ? { text: 'y'.repeat(2 * LIMITS.batchBytes) } : {},
    }));
    const bytes = Buffer.from(`${JSON.stringify({ kind: 'NodeList', metadata: {}, items })}\n`);
    for (let round = 0; round < 5; round++) {
      const chunks: Buffer[] = [];
      for (let from = 0; from < bytes.length; from += chunks.at(-1)?.length ?? 1)
        chunks.push(bytes.subarray(from, from + 1 + random() * 10 ** (2 + round)));
      expect(split(chunks)).toEqual({ items, envelope: { kind: 'NodeList', metadata: {}, items: [] } });
    }
  });

  it.each([
    ['deeply nested', `{"items":[{"metadata":{},"a":${'['.repeat(1_000_000)}`, 'no end'],
    ['cut off', '{"items":[{"metadata":{"name":"n1"}},{"metadata":{"na', 'no end'],
    ['no JSON', '{"items":[{"metadata":{x}},{"metadata":{}}]}', 'no JSON'],
    ['deeply nested to its end', `{"items":[${'['.repeat(100_000)}`, 'no object'],
  ])('refuses a list that is %s', (_, text, reason) => {
    expect(() => split([Buffer.from(text)])).toThrow(reason);
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

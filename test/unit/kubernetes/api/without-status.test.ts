import { describe, expect, it } from 'vitest';
import { parseWithoutStatus } from '../../../../agent/kubernetes/api/without-status.ts';
import { seededRandom } from '../../../fakes/seeded-random.ts';
import { nodeJson } from '../../../support/node-json.ts';

const parse = (text: string): unknown => parseWithoutStatus(Buffer.from(text));

describe('a line of a watch, parsed without the status', () => {
  it('has all other members', () => {
    const { status: _, ...rest } = nodeJson('n1');
    const status = { conditions: [{ status: 'True' }], text: '"metadata":{"}],"status":{' };
    const line = JSON.stringify({ type: 'MODIFIED', object: { ...rest, status } });
    expect(parse(line)).toEqual({ type: 'MODIFIED', object: rest });
  });

  it.each([
    ['without a status', '{"type":"ADDED","object":{"metadata":{},"spec":{}}}'],
    ['with a status that is a text', '{"type":"ERROR","object":{"kind":"Status","status":"Failure"}}'],
    ['with spaces', '{"type":"ADDED","object":{"metadata":{}, "status": {}}}'],
    ['with the status first', '{"type":"ADDED","object":{"status":{},"metadata":{}}}'],
    ['with metadata behind the status', '{"type":"ADDED","object":{"x":1,"status":{},"metadata":{}}}'],
    ['with an escaped name behind it', '{"type":"ADDED","object":{"x":1,"status":{},"sp\\u0065c":{}}}'],
    ['with a status in its metadata', '{"type":"ADDED","object":{"metadata":{"a":1,"status":{}}}}'],
    ['with the type behind the object', '{"object":{"x":1,"status":{}},"type":"ADDED"}'],
    ['with a status of its own', '{"type":"ADDED","status":{},"object":{}}'],
    ['with the text of a status in a text', '{"type":"ADDED","object":{"a":"\\",\\"status\\":{"}}'],
    ['with an end too early', '{"type":"ADDED","object":{"metadata":{"a":'],
    ['that is no JSON', ',"status":{'],
  ])('is left to JSON.parse %s', (_, text) => {
    expect(parse(text)).toBeUndefined();
  });

  it('says the same as JSON.parse wherever it says something, whatever the JSON is', () => {
    const random = seededRandom(11);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
    const NAMES = [
      'status',
      'metadata',
      'spec',
      'images',
      'f:status',
      'a',
      'b\\"',
      '\\u0073tatus',
      'sp\\u0065c',
    ];
    const TEXTS = ['"x"', '",\\"status\\":{"', '"}}"', '"\\\\"', '"é🙂\\u2028"', '"{\\"metadata\\":1"'];
    const space = (): string => (random() < 0.03 ? ' ' : '');
    const value = (depth: number): string => {
      const kind = depth <= 0 ? 0 : random();
      const items = Array.from({ length: Math.floor(random() * 4) });
      if (kind < 0.3) return pick([...TEXTS, '1', 'null', 'true', '-1.5e3']);
      if (kind < 0.5) return `[${items.map(() => value(depth - 1)).join(',')}]`;
      return object(items.map(() => [pick(NAMES), value(depth - 1)]));
    };
    const object = (members: readonly (readonly [string, string])[]): string =>
      `{${members.map(([name, text]) => `${space()}"${name}"${space()}:${space()}${text}`).join(',')}}`;
    const shuffled = <T>(all: readonly T[]): T[] =>
      random() < 0.7
        ? [...all]
        : all
            .map((each) => [random(), each] as const)
            .sort(([a], [b]) => a - b)
            .map(([, each]) => each);
    let cuts = 0;
    for (let round = 0; round < 20_000; round++) {
      const known = ['kind', 'metadata', 'spec', 'status'].filter(() => random() < 0.9);
      const members = [...known, ...(random() < 0.2 ? [pick(NAMES)] : [])];
      const inner = object(shuffled(members).map((name) => [name, value(3)]));
      const text = object(shuffled([['type', '"MODIFIED"'] as const, ['object', inner] as const]));
      const found = parse(text) as Members | undefined;
      if (found === undefined) continue;
      cuts += 1;
      const whole = JSON.parse(text) as Members;
      expect([text, found.type, found.object?.metadata, found.object?.spec]).toEqual([
        text,
        whole.type,
        whole.object?.metadata,
        whole.object?.spec,
      ]);
    }
    expect(cuts).toBeGreaterThan(500);
  });
});

interface Members {
  readonly type?: unknown;
  readonly object?: { readonly metadata?: unknown; readonly spec?: unknown };
}

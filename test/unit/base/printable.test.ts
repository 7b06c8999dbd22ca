import { describe, expect, it } from 'vitest';
import {
  escapeUnprintable,
  printable,
  printableJson,
  printableLines,
} from '../../../agent/base/printable.ts';
import { POISON, POISONED, poisonIn } from '../../support/poison.ts';

describe('printable text', () => {
  it('printable text holds no character that hides, moves or controls', () => {
    for (const make of [printable, printableLines, printableJson, escapeUnprintable]) {
      for (const character of POISON) expect(poisonIn(make(`a${character}b`))).toEqual([]);
      expect(poisonIn(make(POISONED))).toEqual([]);
    }
  });

  it.each(['', 'plain words', 'Zürich — 東京 😀', 'say "x" \\ 10.5.0.0/16', 'e\u0301'])(
    'printable text leaves %j as it is',
    (text) => {
      for (const make of [printable, printableLines, escapeUnprintable]) expect(make(text)).toBe(text);
    },
  );

  it('printable text is one line, and its runs of unprintable characters are one space', () => {
    expect(printable('a\n\u202e\r\nb\ud800c')).toBe('a b c');
  });

  it('printable text is cut where nobody reads any further', () => {
    expect(printable('x'.repeat(1_000_000))).toBe(`${'x'.repeat(4_000)}…`);
    expect(printable('x'.repeat(4_000))).toBe('x'.repeat(4_000));
  });

  it('printable lines keep their ends, and a carriage return alone is one', () => {
    expect(printableLines('a\nb\r\n\tc\rd\r\r\ne\u2028f')).toBe('a\nb\r\n\tc\nd\n\r\ne\\u2028f');
  });

  it('printable lines of JSON are JSON with the same value', () => {
    const value = { [POISONED]: [POISONED, { a: '\u2028\udb40\udc41\ud800' }] };
    const text = JSON.stringify(value, null, '\t').replaceAll('\n', '\r\n');
    expect(JSON.parse(printableLines(text))).toEqual(value);
    expect(JSON.parse(printableLines(text.replaceAll('\r\n', '\r')))).toEqual(value);
  });

  it('printable JSON is read back as the same value', () => {
    expect(JSON.parse(printableJson(POISONED))).toBe(POISONED);
  });
});

import { describe, expect, it } from 'vitest';
import { readCounts } from '../../bench/arguments.ts';
import { formatSpread, formatVerdict, percentile } from '../../lab/table.ts';

describe('the numbers that benchmarks print', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);

  it.each([
    [hundred, 50, 50],
    [hundred, 99, 99],
    [hundred, 99.9, 100],
    [hundred, 100, 100],
    [[7], 50, 7],
    [[], 50, Number.NaN],
  ])('the percentile of %j at %d per cent is %d', (sorted, percent, expected) => {
    expect(percentile(sorted, percent)).toBe(expected);
  });

  it('benchmarks print a median with the spread of the measures', () => {
    expect(formatSpread([7, 6.5, 6.804], 2)).toBe('6.80 (6.50 to 7.00)');
  });

  it('benchmarks say whether a target is met', () => {
    expect(formatVerdict('≥ 0.65', true)).toBe('≥ 0.65 met');
    expect(formatVerdict('≥ 0.65', false)).toBe('≥ 0.65 missed');
  });
});

describe('the options of benchmarks', () => {
  it('benchmark options have defaults', () => {
    expect(readCounts(['--seconds', '5'], { seconds: 60, rate: 1_000 })).toEqual({ seconds: 5, rate: 1_000 });
  });

  it.each(['0', '-1', '1.5', 'ten', '1000000', ''])('benchmark options refuse %j seconds', (text) => {
    expect(() => readCounts([`--seconds=${text}`], { seconds: 60 })).toThrow(
      '--seconds: must be a whole number',
    );
  });

  it('benchmark options refuse unknown ones', () => {
    expect(() => readCounts(['--second', '5'], { seconds: 60 })).toThrow("Unknown option '--second'");
  });
});

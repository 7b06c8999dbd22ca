import { describe, expect, it } from 'vitest';
import { formatMemory, formatTable, median } from '../../lab/table.ts';

describe('tables of benchmarks', () => {
  it('benchmark tables align names to the left and numbers to the right', () => {
    const text = formatTable(
      [{ title: 'store', align: 'left' }, { title: 'ready' }],
      [
        ['folder', '9 ms'],
        ['etcd', '1234 ms'],
      ],
    );
    expect(text).toBe('  store      ready\n  folder      9 ms\n  etcd     1234 ms\n');
  });

  it.each([
    [[3, 1, 2], 2],
    [[4, 1, 2, 3], 2.5],
    [[7], 7],
    [[], Number.NaN],
  ])('the median of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  it('benchmark tables print memory in MiB', () => {
    expect(formatMemory(76_800)).toBe('75.0 MiB');
  });
});

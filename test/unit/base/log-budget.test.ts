import { expect, it } from 'vitest';
import { createLogBudget } from '../../../agent/base/log-budget.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

it('a log budget lets some lines of a period pass, counts the rest, and begins anew', async () => {
  const clock = createVirtualClock();
  const lines: string[] = [];
  const take = createLogBudget({
    clock,
    lines: 2,
    periodMs: 60_000,
    onFull: () => lines.push('full'),
    onRest: (count) => lines.push(`${count} more`),
  });
  for (let i = 0; i < 5; i++) take(() => lines.push(`a${i}`));
  await clock.advance(59_999);
  take(() => lines.push('a5'));
  expect(lines).toEqual(['a0', 'a1', 'full']);
  await clock.advance(1);
  take(() => lines.push('news'));
  expect(lines).toEqual(['a0', 'a1', 'full', '4 more', 'news']);
  await clock.advance(60_000);
  take(() => lines.push('later'));
  expect(lines).toEqual(['a0', 'a1', 'full', '4 more', 'news', 'later']);
});

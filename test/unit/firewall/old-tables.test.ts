import { expect, it } from 'vitest';
import { createOldTables } from '../../../agent/firewall/old-tables.ts';
import type { TableSizes } from '../../../agent/model/ruleset.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

const WANTED = { table: 'filter', rules: 1 };
const SECOND = 1_000;
const EVERY_MS = 5 * SECOND;

interface Bed {
  sizes: TableSizes | undefined;
  wanted: typeof WANTED;
  outcome: 'present' | 'repaired';
  /** Asks for a look each five seconds, so often, and gives how many were made. */
  ask(times: number): Promise<number>;
}

function bed(lookMs: number): Bed {
  const clock = createVirtualClock();
  let looks = 0;
  const made: Bed = {
    sizes: { parent: '100', table: '1000', bytes: 1 },
    wanted: WANTED,
    outcome: 'present',
    async ask(times) {
      const before = looks;
      for (let i = 0; i < times; i++) {
        const asked = spare([made.wanted], async () => {
          looks++;
          await clock.sleep(lookMs);
          return made.outcome;
        });
        await clock.advance(EVERY_MS);
        await asked;
      }
      return looks - before;
    },
  };
  const spare = createOldTables<typeof WANTED>(
    clock,
    async () => made.sizes && new Map([['filter', made.sizes]]),
  );
  return made;
}

it('a cheap look is made each time', async () => {
  expect(await bed(20).ask(12)).toBe(12);
});

it('a dear look is made once a minute while the tables keep their sizes', async () => {
  const tables = bed(300);
  expect(await tables.ask(1)).toBe(1);
  expect(await tables.ask(120)).toBe(9);
});

it('a look is made as soon as a chain that calls ours has another size', async () => {
  const tables = bed(300);
  await tables.ask(1);
  for (const parent of ['20', '30', '20']) {
    tables.sizes = { parent, table: '1000', bytes: 1 };
    expect(await tables.ask(1)).toBe(1);
    expect(await tables.ask(1)).toBe(0);
  }
});

it('a look is made soon after another change, and rarely while the changes go on and concern nobody', async () => {
  const tables = bed(300);
  await tables.ask(4);
  tables.sizes = { parent: '100', table: '999', bytes: 1 };
  expect(await tables.ask(1)).toBe(1);
  let looks = 0;
  for (let i = 0; i < 120; i++) {
    tables.sizes = { parent: '100', table: `${i}`, bytes: 1 };
    looks += await tables.ask(1);
  }
  expect(looks).toBeLessThan(15);
  expect(looks).toBeGreaterThan(9);
});

it('other rules are always looked at, and so is the result of a repair', async () => {
  const tables = bed(300);
  await tables.ask(1);
  tables.wanted = { ...WANTED, rules: 2 };
  tables.outcome = 'repaired';
  expect(await tables.ask(3)).toBe(3);
  tables.outcome = 'present';
  expect(await tables.ask(3)).toBe(1);
});

it('without sizes a dear look is made in time', async () => {
  const tables = bed(300);
  tables.sizes = undefined;
  expect(await tables.ask(121)).toBe(10);
});

it('each table is looked at for itself: changes of a small one make no look at a large one', async () => {
  const clock = createVirtualClock();
  const lookMs = new Map([
    ['nat', 300],
    ['filter', 1],
  ]);
  const looks: string[] = [];
  let turn = 0;
  const spare = createOldTables<{ table: string }>(
    clock,
    async () =>
      new Map([
        ['nat', { parent: '1', table: '1', bytes: 1 }],
        ['filter', { parent: '1', table: `${turn}`, bytes: 1 }],
      ]),
  );
  for (turn = 0; turn < 12; turn++) {
    const asked = spare([{ table: 'nat' }, { table: 'filter' }], async (due) => {
      for (const { table } of due) {
        looks.push(table);
        await clock.sleep(lookMs.get(table) ?? 0);
      }
      return 'present';
    });
    await clock.advance(EVERY_MS);
    await asked;
  }
  expect(looks.filter((table) => table === 'nat')).toHaveLength(1);
  expect(looks.filter((table) => table === 'filter').length).toBeGreaterThan(9);
});

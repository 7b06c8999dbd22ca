import { expect, it } from 'vitest';
import { createOldTables } from '../../../agent/firewall/old-tables.ts';
import type { FirewallRules } from '../../../agent/model/firewall.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

const RULES: FirewallRules = { postrouting: [], forward: [], randomFully: false };
const SECOND = 1_000;
const EVERY_MS = 5 * SECOND;

interface Bed {
  sizes: { parents: string; tables: string } | undefined;
  rules: FirewallRules;
  outcome: 'present' | 'repaired';
  /** Asks for a look each five seconds, so often, and gives how many were made. */
  ask(times: number): Promise<number>;
}

function bed(lookMs: number): Bed {
  const clock = createVirtualClock();
  let looks = 0;
  const made: Bed = {
    sizes: { parents: 'filter 100', tables: 'filter 1000' },
    rules: RULES,
    outcome: 'present',
    async ask(times) {
      const before = looks;
      for (let i = 0; i < times; i++) {
        const asked = spare(made.rules, async () => {
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
  const spare = createOldTables(clock, async () => made.sizes);
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
  for (const parents of ['filter 20', 'filter 30', 'filter 20']) {
    tables.sizes = { parents, tables: 'filter 1000' };
    expect(await tables.ask(1)).toBe(1);
    expect(await tables.ask(1)).toBe(0);
  }
});

it('a look is made soon after another change, and rarely while the changes go on and concern nobody', async () => {
  const tables = bed(300);
  await tables.ask(4);
  tables.sizes = { parents: 'filter 100', tables: 'filter 999' };
  expect(await tables.ask(1)).toBe(1);
  let looks = 0;
  for (let i = 0; i < 120; i++) {
    tables.sizes = { parents: 'filter 100', tables: `filter ${i}` };
    looks += await tables.ask(1);
  }
  expect(looks).toBeLessThan(15);
  expect(looks).toBeGreaterThan(9);
});

it('other rules are always looked at, and so is the result of a repair', async () => {
  const tables = bed(300);
  await tables.ask(1);
  tables.rules = { ...RULES, randomFully: true };
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

// Machines as people have them, in fair weather: clones of one image, slow processors, shared addresses, new names.
// Each test says what it showed when nodes were told apart by machine id and host name, and an answer had 3 s.
import { describe, expect, it } from 'vitest';
import type { Scene } from './cluster.ts';
import { CLONE_WITH_ADDRESS, RENAMED } from './faults/machine-faults.ts';
import { formatFailure } from './report.ts';
import { simulate } from './simulate.ts';

async function check(seeds: readonly number[], scene: Scene): Promise<void> {
  for (const seed of seeds) {
    const outcome = await simulate(seed, { scene });
    expect(outcome.violation, formatFailure(outcome)).toBeUndefined();
  }
}

describe('machines as people have them', () => {
  // Seed 1: two live agents held one subnet, and its key changed hands 7 times in 13 s, without end.
  it('30 clones on slow processors that start at once get a subnet each, and keep it', async () => {
    await check([1, 2], { hosts: 30, clones: 1, startsAtOnce: true, lagMs: 1_500, faults: [] });
  });

  // Every seed: the clone took over the lease of the first machine without a question.
  it('a clone with the address of a live machine leaves its subnet alone', async () => {
    await check([1, 2, 3, 4, 5], {
      hosts: 3,
      clones: 0,
      startsAtOnce: false,
      lagMs: 0,
      faults: [CLONE_WITH_ADDRESS, CLONE_WITH_ADDRESS],
    });
  });

  // Every seed: the machine asked about its own lease.
  it('a machine with a new host name keeps its subnet without a question', async () => {
    await check([1, 2, 3, 4, 5], {
      hosts: 4,
      clones: 0.5,
      startsAtOnce: true,
      lagMs: 0,
      faults: [RENAMED, RENAMED, RENAMED],
    });
  });
});

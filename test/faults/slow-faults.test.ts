// The rows of the table of faults that mostly wait, in parallel, each on a bed of its own.
import { describe, it } from 'vitest';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { IS_FULL } from './bed.ts';
import { BedKeeper } from './bed-keeper.ts';
import { FAULTS, groupFaults } from './table.ts';

/** For a busy machine, which also runs the other rows. */
const SLACK_MS = 10_000;

/** Rows with longer times are left to `npm run test:faults`. */
const LONGEST_MS = 30_000;

const slow = FAULTS.filter(
  ({ isSlow, requiredMs }) => isSlow === true && (IS_FULL || requiredMs <= LONGEST_MS),
);
const rows = groupFaults(slow).flatMap(({ faults, ...group }) =>
  faults.map((fault) => ({ ...group, fault, name: fault.name })),
);

describe.skipIf(NEEDS_CLUSTER.missing)(title('slow faults', NEEDS_CLUSTER), () => {
  it.concurrent.each(rows)('the cluster heals when $name: $backend, $kind', async ({ fault, ...group }) => {
    await using keeper = new BedKeeper(group);
    await keeper.measure(fault, fault.requiredMs + SLACK_MS);
  });
});

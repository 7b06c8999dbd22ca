// Each row of the table of faults once, on the real kernel and a real etcd. `npm run bench -- faults` measures the
// healing times. Here the limit only rules out that a timer healed the fault.
import { afterAll, describe, it } from 'vitest';
import { NEEDS_CLUSTER, title } from '../support/needs.ts';
import { BedKeeper } from './bed-keeper.ts';
import { FAULTS, groupFaults } from './table.ts';

/** For a busy machine. */
const SLACK_MS = 4_000;

const quick = FAULTS.filter(({ isSlow }) => isSlow !== true);

describe.skipIf(NEEDS_CLUSTER.missing).each(groupFaults(quick))(
  title('$backend, $kind', NEEDS_CLUSTER),
  ({ faults, ...group }) => {
    const keeper = new BedKeeper(group);
    afterAll(() => keeper[Symbol.asyncDispose]());

    it.each(faults)('the cluster heals when $name', async (fault) => {
      await keeper.measure(fault, fault.requiredMs + SLACK_MS);
    });
  },
);

import { describe, expect, it } from 'vitest';
import { askHolder } from '../../../agent/datastore/challenge.ts';
import { createLeaseKeys } from '../../../agent/datastore/lease-keys.ts';
import type { Kv } from '../../../agent/model/kv.ts';
import { createMemoryStore } from '../../fakes/memory-kv.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { lease, leaseAttrs } from '../../support/build.ts';

const WAIT_MS = 3_000;
const ANSWER_MS = 1_000;

const HOLDER = leaseAttrs('192.168.77.1', {
  node: { id: '0000000000000001', mac: undefined, name: 'holder' },
});
const LEASE = lease('10.5.1.0/24', HOLDER, { session: undefined });

/** Asks a holder that answers after a second or never, in a store whose history is compacted before it is watched. */
async function ask(answers: boolean): Promise<{ readonly answered: boolean; readonly tookMs: number }> {
  const clock = createVirtualClock();
  const memory = createMemoryStore(clock);
  const kv = memory.open();
  const keys = createLeaseKeys('/network');
  const compacted: Kv = {
    ...kv,
    async create(...args) {
      const entry = await kv.create(...args);
      await kv.create('/something/else', 'x', undefined);
      memory.compact();
      return entry;
    },
  };
  let tookMs = 0;
  const by = { id: '0000000000000002', mac: undefined, name: 'asker' };
  const asking = askHolder(compacted, keys, clock, { lease: LEASE, by, waitMs: WAIT_MS }).finally(() => {
    tookMs = clock.monotonicMs();
  });
  await clock.advance(ANSWER_MS);
  if (answers) {
    for (const entry of (await kv.list(keys.challenges(LEASE.key))).entries) await kv.delete(entry);
  }
  await clock.advance(2 * WAIT_MS);
  return { answered: await asking, tookMs };
}

describe('a challenge with a lost history', () => {
  it('a challenge with a lost history is answered if the holder answers within its time', async () => {
    expect(await ask(true)).toMatchObject({ answered: true });
  });

  it('a challenge with a lost history is unanswered only after the full time', async () => {
    expect(await ask(false)).toEqual({ answered: false, tookMs: WAIT_MS });
  });
});

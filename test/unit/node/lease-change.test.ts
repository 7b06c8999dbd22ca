// A whole node while the leases of others change.
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../agent/node/limits.ts';
import { nodeBed, OTHERS, PREFIX, type TestHost } from './node-bed.ts';

/** Counts the calls that change the host's kernel from now on. */
function countApplies({ kernel }: TestHost): () => number {
  const apply = kernel.apply.bind(kernel);
  let count = 0;
  kernel.apply = (...args) => {
    count++;
    return apply(...args);
  };
  return () => count;
}

describe('a change of a lease', () => {
  it('an idle node applies a lease change at once, and the changes within the pause after it in one pass', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const host = await start(1);
      await clock.advance(1_000);
      const applied = countApplies(host);
      await kv.create(`${PREFIX}/subnets/10.5.4.0-24`, OTHERS, undefined);
      await clock.advance(0);
      expect(host.routes()).toEqual(['10.5.4.0/24']);
      await kv.create(`${PREFIX}/subnets/10.5.5.0-24`, OTHERS, undefined);
      await kv.create(`${PREFIX}/subnets/10.5.6.0-24`, OTHERS, undefined);
      await clock.advance(LIMITS.passPauseMs);
      expect(host.routes()).toEqual(['10.5.4.0/24', '10.5.5.0/24', '10.5.6.0/24']);
      await clock.advance(1_000);
      expect(applied()).toBe(2);
    }));

  it('a lease change is the only event of the store that causes a pass', () =>
    nodeBed(async ({ clock, kv, start }) => {
      const host = await start(1);
      await clock.advance(1_000);
      const applied = countApplies(host);
      await kv.create(`${PREFIX}/subnets/nonsense`, 'x', undefined);
      host.kv.setReachable(false);
      await clock.advance(10_000);
      host.kv.setReachable(true);
      await clock.advance(10_000);
      const entry = await kv.create(`${PREFIX}/subnets/10.5.4.0-24`, OTHERS, undefined);
      await clock.advance(1_000);
      expect(applied()).toBe(1);
      // The same meaning once more.
      if (entry !== undefined) await kv.update(entry, OTHERS.replace('{', '{ '));
      await clock.advance(1_000);
      expect(applied()).toBe(1);
    }));
});

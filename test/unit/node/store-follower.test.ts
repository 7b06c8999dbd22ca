import { expect, it } from 'vitest';
import { TwillError } from '../../../agent/base/errors.ts';
import { LIMITS as TABLE_LIMITS } from '../../../agent/lease/limits.ts';
import type { StoreEvent } from '../../../agent/model/lease-source.ts';
import { LIMITS } from '../../../agent/node/limits.ts';
import { StoreFollower } from '../../../agent/node/store-follower.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { captureLog } from '../../support/capture-log.ts';
import { hostGwPeer } from '../../support/golden-states.ts';

const lost = (message: string, hint?: string): StoreEvent => ({
  type: 'disconnected',
  error: new TwillError('datastore', message, hint === undefined ? {} : { hint }),
});
const SNAPSHOT: StoreEvent = { type: 'snapshot', config: '{}', leases: [], malformed: [], revision: 1 };

/**
 * The log after these events, the reasons why the node is not ready after the last one, and the number of listings some
 * time later.
 */
async function follow(...events: readonly StoreEvent[]) {
  const clock = createVirtualClock();
  const { log, lines } = captureLog('twill');
  const stop = new AbortController();
  let listings = 0;
  const follower = new StoreFollower({
    leaseSource: {
      lengths: 'configured',
      async *watch(signal) {
        listings += 1;
        yield* listings === 1 ? events : [SNAPSHOT];
        await clock.sleep(1_000_000, signal).catch(() => undefined);
      },
      reconnect: () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    },
    configSource: { where: '/net/config', hint: 'write it', read: async () => undefined },
    clock,
    random: () => 0.5,
    log,
    onLarge: () => undefined,
  });
  const running = follower.run(stop.signal);
  await clock.advance(1);
  const reasons = follower
    .conditions()
    .filter(({ part }) => part === 'datastore')
    .map(({ reason }) => reason);
  const told = lines.map((line) => line.replace(/^\S+ /, ''));
  await clock.advance(20_000);
  stop.abort();
  await running;
  return { lines: told, reasons, listings };
}

it('the store follower shows the remedy beside the reason, in the log and to those who ask whether it is ready', async () => {
  const { lines, reasons } = await follow(
    lost('cannot read /net/config: permission denied', 'grant the right'),
  );
  expect(reasons).toEqual(['cannot read /net/config: permission denied; grant the right']);
  expect(lines).toEqual([
    expect.stringContaining('cannot read /net/config: permission denied; grant the right'),
  ]);
});

it('the store follower logs one line for an outage whose attempts fail in several words', async () => {
  const { lines, reasons } = await follow(
    SNAPSHOT,
    lost('cannot watch /net/: the connection was closed', 'check that etcd runs there'),
    lost('cannot read /net/a: connect ECONNREFUSED', 'check that etcd runs there'),
    lost('cannot read /net/a: no answer within 5000 ms', 'check that etcd runs there'),
  );
  expect(lines).toEqual([expect.stringContaining('the connection was closed; check that etcd runs there')]);
  expect(reasons).toEqual(['cannot read /net/a: no answer within 5000 ms; check that etcd runs there']);
});

it('the store follower logs a trouble of another kind, and each outage anew', async () => {
  const { lines } = await follow(
    lost('connect ECONNREFUSED', 'check that etcd runs there'),
    lost('permission denied', 'grant the right'),
    { type: 'connected' },
    SNAPSHOT,
    lost('permission denied', 'grant the right'),
  );
  expect(lines.map((line) => /ECONNREFUSED|denied|is back/.exec(line)?.[0])).toEqual([
    'ECONNREFUSED',
    'denied',
    'is back',
    'denied',
  ]);
});

it('the store follower logs some malformed entries of a flood, shortened, and counts the rest', async () => {
  const { lines } = await follow(
    SNAPSHOT,
    ...Array.from({ length: 1_000 }, (_, i): StoreEvent => {
      const where = `/net/subnets/${'k'.repeat(1_000)}`;
      return {
        type: 'malformed',
        entry: { where, key: undefined, reason: `${i % 2} ${'r'.repeat(100_000)}` },
      };
    }),
  );
  expect(lines).toHaveLength(LIMITS.reportedMalformed + 1);
  expect(lines.at(-1)).toContain('they are counted for a minute');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(3 * LIMITS.reportChars);
});

it('the store follower says once that leases are left out, and lists again when there is room', async () => {
  const junk = Array.from({ length: TABLE_LIMITS.knownLeases + 1 }, (_, i) => ({
    ...hostGwPeer(9),
    key: `k${i}`,
  }));
  const { lines, listings } = await follow(
    { ...SNAPSHOT, leases: junk },
    ...junk.map(({ key }): StoreEvent => ({ type: 'lease-removed', key, revision: 2 })),
  );
  expect(lines).toEqual([expect.stringContaining('too many leases: the newest ones are left out')]);
  expect(listings).toBe(2);
});

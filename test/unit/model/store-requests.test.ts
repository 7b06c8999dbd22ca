// The numbers of requests to a datastore, for each kind of it.
import { describe, expect, it } from 'vitest';
import { measureKv } from '../../../agent/datastore/measured-kv.ts';
import { HistoryLost, type Kv, Reconnecting } from '../../../agent/model/kv.ts';
import { StoreRequests } from '../../../agent/model/store-requests.ts';
import { createMemoryStore } from '../../fakes/memory-kv.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';
import { valueOf } from '../../support/metric-value.ts';

const CONTACT = 'twill_store_last_contact_timestamp_seconds';

function bed() {
  const clock = createVirtualClock();
  const requests = new StoreRequests(clock);
  const inner = createMemoryStore(clock).open();
  const count = (op: string, result: string): number | undefined =>
    valueOf(requests.metrics(), 'twill_store_requests_total', { op, result });
  const restarts = (reason: string): number | undefined =>
    valueOf(requests.metrics(), 'twill_store_watch_restarts_total', { reason });
  const contact = (): number | undefined => valueOf(requests.metrics(), CONTACT);
  return { clock, requests, inner, kv: measureKv(inner, requests), count, restarts, contact };
}

/** Watches until the watch ends. */
async function drain(kv: Kv): Promise<unknown> {
  try {
    for await (const _ of kv.watch('/', 1, new AbortController().signal));
    return 'ended';
  } catch (error) {
    return error;
  }
}

describe('the requests to a datastore', () => {
  it('requests count by operation and result, and the last answer has a time', async () => {
    const { clock, inner, kv, count, contact } = bed();
    expect(contact()).toBeUndefined();
    await kv.create('/a', '1', undefined);
    await kv.list('/');
    await kv.list('/');
    const before = contact();
    await clock.advance(10_000);
    inner.setReachable(false);
    await expect(kv.get('/a')).rejects.toThrow('cannot be reached');
    expect([count('create', 'ok'), count('list', 'ok'), count('read', 'ok')]).toEqual([1, 2, undefined]);
    expect(count('read', 'failed')).toBe(1);
    expect(contact()).toBe(before);
    inner.setReachable(true);
    await kv.get('/a');
    expect(contact()).toBe((before ?? 0) + 10);
  });

  it('a request that is given up counts as none', async () => {
    const { requests, count } = bed();
    const end = new AbortController();
    const work = async (): Promise<never> => {
      end.abort(new Error('stopped'));
      throw new Error('stopped');
    };
    await expect(requests.during('list', end.signal, work)).rejects.toThrow('stopped');
    expect(count('list', 'failed')).toBeUndefined();
  });

  it.each([
    ['history_lost', new HistoryLost('compacted')],
    ['reconnect', new Reconnecting('given up')],
    ['failed', new Error('broken')],
    ['ended', undefined],
  ])('a watch that stood counts once, and its end as %s', async (reason, error) => {
    const { inner, requests, count, restarts } = bed();
    const kv = measureKv(
      {
        ...inner,
        async *watch() {
          yield [{ type: 'progress', revision: 1 }];
          if (error !== undefined) throw error;
        },
      },
      requests,
    );
    expect(await drain(kv)).toBe(error ?? 'ended');
    expect([count('watch', 'ok'), restarts(reason)]).toEqual([1, 1]);
  });

  it('the end of a measured watch ends the watch of the store', async () => {
    const { inner, requests } = bed();
    let hasEnded = false;
    const kv = measureKv(
      {
        ...inner,
        async *watch() {
          try {
            for (;;) yield [{ type: 'progress', revision: 1 }];
          } finally {
            hasEnded = true;
          }
        },
      },
      requests,
    );
    for await (const _ of kv.watch('/', 1, new AbortController().signal)) break;
    expect(hasEnded).toBe(true);
  });
});

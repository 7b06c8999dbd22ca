import { describe, expect, it } from 'vitest';
import type { KvEvent } from '../../../agent/model/kv.ts';
import { createMemoryStore } from '../../fakes/memory-kv.ts';
import { createVirtualClock } from '../../fakes/virtual-clock.ts';

const DAY_MS = 86_400_000;

describe('the store in memory', () => {
  it('the store in memory ends a session of one day after a virtual day, and wakes the watcher then', async () => {
    const clock = createVirtualClock();
    const kv = createMemoryStore(clock).open();
    const session = await kv.openSession(86_400);
    await kv.create('/a', 'x', session);
    const stop = new AbortController();
    const events: KvEvent[] = [];
    const reading = (async () => {
      for await (const batch of kv.watch('/', 2, stop.signal)) events.push(...batch);
    })();
    await clock.advance(DAY_MS - 1);
    expect(await kv.get('/a')).toBeDefined();
    await clock.advance(1);
    expect(events.at(-1)).toMatchObject({ type: 'delete', key: '/a' });
    expect(await kv.keepAlive(session)).toBeUndefined();
    stop.abort();
    await reading;
    expect(clock.sleepers).toBe(0);
  });

  it('the store in memory keeps a session while it is kept alive', async () => {
    const clock = createVirtualClock();
    const kv = createMemoryStore(clock).open();
    const session = await kv.openSession(86_400);
    await kv.create('/a', 'x', session);
    for (let day = 0; day < 10; day++) {
      await clock.advance(DAY_MS - 1);
      expect(await kv.keepAlive(session)).toBe(86_400);
    }
    expect(await kv.get('/a')).toBeDefined();
  });

  it('the store in memory cuts only one of its handles', async () => {
    const store = createMemoryStore(createVirtualClock());
    const cut = store.open();
    const whole = store.open();
    cut.setReachable(false);
    await expect(cut.list('/')).rejects.toMatchObject({ code: 'datastore' });
    await expect(cut.openSession(1)).rejects.toMatchObject({ code: 'datastore' });
    expect(await whole.create('/a', 'x', undefined)).toBeDefined();
    cut.setReachable(true);
    expect(await cut.get('/a')).toBeDefined();
  });
});

import { systemClock } from '../../agent/base/clock.ts';
import { createMemoryStore } from '../fakes/memory-kv.ts';
import { describeKv } from './kv-suite.ts';

describeKv('the store in memory', false, async () => {
  const store = createMemoryStore(systemClock);
  return {
    open: async () => store.open(),
    compact: async () => store.compact(),
    wipe: async () => store.wipe(),
    [Symbol.asyncDispose]: async () => undefined,
  };
});

import { systemClock } from '../../agent/base/clock.ts';
import { createMemoryStore } from '../fakes/memory-kv.ts';
import { describeKvSizes } from './kv-size-suite.ts';
import { describeKv, type KvBed } from './kv-suite.ts';

async function memoryBed(): Promise<KvBed> {
  const store = createMemoryStore(systemClock);
  return {
    open: async () => store.open(),
    compact: async () => store.compact(),
    wipe: async () => store.wipe(),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

describeKv('the store in memory', false, memoryBed);
describeKvSizes('the store in memory', false, memoryBed);

// A datastore whose requests are counted.
import { HistoryLost, type Kv, type KvEvent, Reconnecting } from '../model/kv.ts';
import type { StoreOperation, StoreRequests } from '../model/store-requests.ts';

/** The same store as `kv`. Each request is counted in `requests`. */
export function measureKv(kv: Kv, requests: StoreRequests): Kv {
  const count = <T>(
    operation: StoreOperation,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> => requests.during(operation, signal, work);
  return {
    list: (ranges, signal) => count('list', signal, () => kv.list(ranges, signal)),
    get: (key, signal) => count('read', signal, () => kv.get(key, signal)),
    openSession: (ttlSeconds, signal) => count('session', signal, () => kv.openSession(ttlSeconds, signal)),
    keepAlive: (session, signal) => count('session', signal, () => kv.keepAlive(session, signal)),
    closeSession: (session, signal) => count('session', signal, () => kv.closeSession(session, signal)),
    create: (key, value, session, signal) =>
      count('create', signal, () => kv.create(key, value, session, signal)),
    update: (entry, value, signal) => count('update', signal, () => kv.update(entry, value, signal)),
    delete: (entry, signal) => count('delete', signal, () => kv.delete(entry, signal)),
    async *watch(ranges, fromRevision, signal) {
      const batches = kv.watch(ranges, fromRevision, signal)[Symbol.asyncIterator]();
      let isOver = false;
      try {
        // The first batch says that the watch stands.
        let next: IteratorResult<readonly KvEvent[]> = await count('watch', signal, () => batches.next());
        while (next.done !== true) {
          yield next.value;
          next = await batches.next();
          requests.noteContact();
        }
        isOver = true;
        if (!signal.aborted) requests.noteEnd('ended');
      } catch (error) {
        isOver = true;
        if (!signal.aborted) requests.noteEnd(endOf(error));
        throw error;
      } finally {
        if (!isOver) await batches.return?.();
      }
    },
    reconnect: () => kv.reconnect?.(),
    [Symbol.asyncDispose]: () => kv[Symbol.asyncDispose](),
  };
}

function endOf(error: unknown): 'failed' | 'history_lost' | 'reconnect' {
  if (error instanceof HistoryLost) return 'history_lost';
  return error instanceof Reconnecting ? 'reconnect' : 'failed';
}

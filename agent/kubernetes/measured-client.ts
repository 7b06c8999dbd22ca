// A client of the API whose requests are counted.
import type { StoreRequests, WatchEnd } from '../model/store-requests.ts';
import { ApiError } from './api/api-error.ts';
import type { ApiClient } from './api/client.ts';

/** The same client. Each request is counted in `requests`. */
export function measureClient(client: ApiClient, requests: StoreRequests): ApiClient {
  return {
    server: client.server,
    get: (resource, name, signal) =>
      requests.during('read', signal, () => client.get(resource, name, signal)),
    list: (resource, read, signal) =>
      requests.during('list', signal, () => client.list(resource, read, signal)),
    version: (resource, signal) => requests.during('list', signal, () => client.version(resource, signal)),
    async watch(resource, resourceVersion, read, signal) {
      const opened = await requests.during('watch', signal, () =>
        client.watch(resource, resourceVersion, read, signal),
      );
      return measureEvents(opened, requests, signal);
    },
    patch: (resource, name, patch, signal) =>
      requests.during('update', signal, () => client.patch(resource, name, patch, signal)),
    reconnect: () => client.reconnect(),
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

async function* measureEvents<T>(
  events: AsyncIterable<T>,
  requests: StoreRequests,
  signal: AbortSignal,
): AsyncGenerator<T> {
  try {
    for await (const event of events) {
      requests.noteContact();
      yield event;
    }
  } catch (error) {
    if (!signal.aborted) requests.noteEnd(endOf(error));
    throw error;
  }
  if (!signal.aborted) requests.noteEnd('ended');
}

function endOf(error: unknown): WatchEnd {
  const kind = error instanceof ApiError ? error.kind : undefined;
  if (kind === 'gone') return 'history_lost';
  return kind === 'given-up' ? 'reconnect' : 'failed';
}

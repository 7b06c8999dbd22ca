// A small client of the Kubernetes API: get, list, watch and patch of any resource. Each call is one attempt:
// `persist.ts` repeats calls, and `follow.ts` lists and watches for as long as the agent runs.
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import type { JsonValue } from '../../base/schema.ts';
import type { ApiAccess } from './access.ts';
import { ApiError, type Attempt, failureOf, parseAnswer, Unreadable } from './api-error.ts';
import { LIMITS } from './limits.ts';
import { type ApiList, listAll, readVersion } from './list.ts';
import { pathOf, type Resource } from './resource.ts';
import { createTransport, type Transport } from './transport.ts';
import { openWatch, type WatchEvent } from './watch.ts';

/**
 * Makes the value that is kept of an object; undefined: none. It is called with anything that is JSON, and must not
 * fail. In a watch the object may lack its status; `readWhole` parses all of it.
 */
export type Reader<T> = (object: unknown, readWhole: () => unknown) => T | undefined;

export interface Patch {
  /** `strategic`: lists with a merge key, such as conditions, are merged by it. `merge`: a list is replaced. */
  readonly type: 'strategic' | 'merge';
  /** Undefined: the object itself. */
  readonly subresource?: 'status';
  readonly body: JsonValue;
}

/** Calls fail as `ApiError`, or with the reason of an aborted signal. */
export interface ApiClient extends Disposable {
  /** For messages. */
  readonly server: string;
  /** One object; undefined: there is none. */
  get(resource: Resource, name: string, signal: AbortSignal): Promise<unknown>;
  /** All objects, in pages, as they are at one moment, which is no earlier than the call. */
  list<T>(resource: Resource, read: Reader<T>, signal: AbortSignal): Promise<ApiList<T>>;
  /** The version that the store has at this moment. Reads one object at most. */
  version(resource: Resource, signal: AbortSignal): Promise<string>;
  /**
   * The changes after a resource version. Resolves when the server begins to tell of them. Ends when the server ends
   * the watch, after minutes.
   */
  watch<T>(
    resource: Resource,
    resourceVersion: string,
    read: Reader<T>,
    signal: AbortSignal,
  ): Promise<AsyncIterable<WatchEvent<T>>>;
  /** Changes an object, whatever its version is. Gives the object as it is then. */
  patch(resource: Resource, name: string, patch: Patch, signal: AbortSignal): Promise<unknown>;
  /** The host's network has changed: closes all connections, which would otherwise hang. */
  reconnect(): void;
}

export interface ApiClientDeps {
  readonly clock: Clock;
  readonly random: Random;
}

const PATCH_TYPES: Readonly<Record<Patch['type'], string>> = {
  strategic: 'application/strategic-merge-patch+json',
  merge: 'application/merge-patch+json',
};

const PATIENCE = { silenceMs: LIMITS.silenceMs, wholeMs: LIMITS.answerMs };

/** A client without a connection. Disposing closes all connections. */
export function createApiClient(access: ApiAccess, { clock, random }: ApiClientDeps): ApiClient {
  const transport = createTransport(access, clock);
  const { server } = transport;

  return {
    server,
    async get(resource, name, signal) {
      const attempt: Attempt = { verb: 'get', resource: resource.plural, server };
      const path = pathOf(resource, name);
      try {
        return await readWhole(transport, { attempt, method: 'GET', path, patience: PATIENCE }, signal);
      } catch (error) {
        if (error instanceof ApiError && error.kind === 'not-found') return undefined;
        throw error;
      }
    },
    list: (resource, read, signal) => listAll({ transport, resource, read }, signal),
    version: (resource, signal) => readVersion({ transport, resource }, signal),
    watch(resource, resourceVersion, read, signal) {
      const { watchLeastMs: least, watchMostMs: most } = LIMITS;
      const lastsMs = least + random() * (most - least);
      return openWatch({ transport, resource, read, resourceVersion, lastsMs }, signal);
    },
    patch(resource, name, { type, subresource, body }, signal) {
      const target = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
      const end = subresource === undefined ? '' : `/${subresource}`;
      return readWhole(
        transport,
        {
          attempt: { verb: 'patch', resource: target, server },
          method: 'PATCH',
          path: pathOf(resource, name) + end,
          headers: { 'content-type': PATCH_TYPES[type] },
          body: JSON.stringify(body),
          patience: PATIENCE,
        },
        signal,
      );
    },
    reconnect: () => transport.reconnect(),
    [Symbol.dispose]: () => transport[Symbol.dispose](),
  };
}

async function readWhole(
  transport: Transport,
  request: Parameters<Transport['send']>[0],
  signal: AbortSignal,
): Promise<unknown> {
  using answer = await transport.send(request, signal);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > LIMITS.objectBytes) {
      throw failureOf(
        request.attempt,
        new Unreadable(`the object is larger than ${LIMITS.objectBytes} bytes`),
      );
    }
  }
  try {
    return parseAnswer(Buffer.concat(chunks));
  } catch (error) {
    throw failureOf(request.attempt, error);
  }
}

// The connection to an etcd cluster: an operation at one of several servers, within a limited time. Which server, the
// user's token and what counts as a dead server are decided here; what the operations mean is not.
import { type Clock, deadline } from '../base/clock.ts';
import { TwillError } from '../base/errors.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import {
  createEtcdEndpoint,
  type EtcdEndpoint,
  type EtcdListener,
  type EtcdStream,
  readTlsFiles,
} from './etcd-endpoint.ts';
import {
  type EtcdAttempt,
  etcdError,
  isAuthDisabled,
  isServerFailure,
  isStaleToken,
  parseEtcdFailure,
} from './etcd-errors.ts';
import type { EtcdMethod, Request, Response } from './etcd-messages.ts';
import { LIMITS } from './limits.ts';

/** One server of the cluster, during one operation. */
export interface EtcdServer {
  call<M extends EtcdMethod>(method: M, request: Request<M>): Promise<Response<M>>;
  stream<M extends EtcdMethod>(method: M, listener: EtcdListener<M>): EtcdStream<M>;
  /** Whether an earlier attempt of this operation failed so that its outcome is not known. */
  readonly again: boolean;
}

export interface EtcdConnection {
  /**
   * Runs an operation at a server, and at the next one where that server fails. Fails as `datastore`, or with the
   * signal's reason.
   */
  run<T>(
    attempt: EtcdAttempt,
    signal: AbortSignal | undefined,
    operation: (server: EtcdServer, signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  /** The error for a stream that broke after `run` had ended; the next operation asks another server. */
  broken(thrown: unknown, attempt: EtcdAttempt): TwillError;
  /** Operations from now on open connections of their own. */
  reconnect(): void;
  close(): void;
}

/** Prepares the connection; nothing is asked yet. Fails as `datastore` when certificates cannot be read or used. */
export async function createEtcdConnection(
  options: EtcdOptions,
  clock: Clock,
  random: () => number,
): Promise<EtcdConnection> {
  const tls = await readTlsFiles(options);
  const urls = [...new Set(options.endpoints)];
  const endpoints = urls.map((url) => createEtcdEndpoint(url, tls, random));
  // Thousands of agents spread over the servers, each in an order of its own.
  const start = Math.floor(random() * endpoints.length);
  let order = [...endpoints.slice(start), ...endpoints.slice(0, start)];
  let chosen = order.length === 1 ? order[0] : undefined;
  let token: string | undefined;
  let isClosed = false;

  async function login(endpoint: EtcdEndpoint, signal: AbortSignal): Promise<string> {
    const { username, password } = options;
    if (username === undefined) return '';
    try {
      const request = { name: username, password: password ?? '' };
      return (await endpoint.call('Auth/Authenticate', request, signal, '')).token;
    } catch (error) {
      if (isAuthDisabled(parseEtcdFailure(error))) return '';
      throw error;
    }
  }

  // The first server that answers anything; a dead one costs a moment, not a time-out.
  async function choose(failed: ReadonlySet<EtcdEndpoint>, signal: AbortSignal): Promise<EtcdEndpoint> {
    if (chosen !== undefined && !failed.has(chosen)) return chosen;
    const candidates = order.filter((endpoint) => !failed.has(endpoint));
    const found = new AbortController();
    const stop = (): void => found.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const first = await Promise.any(
        candidates.map(async (endpoint, i) => {
          if (i > 0) await clock.sleep(i * LIMITS.datastoreStaggerMs, found.signal);
          await endpoint.call('Maintenance/Status', {}, found.signal, '').catch((error: unknown) => {
            if (isServerFailure(parseEtcdFailure(error))) throw error;
          });
          return endpoint;
        }),
      );
      chosen = first;
      return first;
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    } finally {
      signal.removeEventListener('abort', stop);
      found.abort();
    }
  }

  function giveUp(endpoint: EtcdEndpoint): void {
    if (order.length === 1) return;
    if (chosen === endpoint) chosen = undefined;
    order = [...order.filter((other) => other !== endpoint), endpoint];
  }

  async function run<T>(
    attempt: EtcdAttempt,
    signal: AbortSignal | undefined,
    operation: (server: EtcdServer, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    if (isClosed)
      throw new TwillError('datastore', `cannot ${attempt.what}: the connection to etcd is closed`);
    using whole = deadline(signal, LIMITS.datastoreRequestMs, 'etcd');
    const failed = new Set<EtcdEndpoint>();
    let freshToken = false;
    for (;;) {
      let endpoint: EtcdEndpoint | undefined;
      try {
        endpoint = await choose(failed, whole);
        // The last server may use what is left of the time, the others share it.
        const shareMs = LIMITS.datastoreRequestMs / (order.length - failed.size);
        using share = deadline(whole, shareMs, 'etcd');
        token ??= await login(endpoint, share);
        return await operation(serverAt(endpoint, token, failed.size > 0, share), share);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = parseEtcdFailure(error);
        if (isStaleToken(failure) && options.username !== undefined && !freshToken) {
          freshToken = true;
          token = undefined;
          continue;
        }
        if (!(error instanceof TwillError) && isServerFailure(failure)) {
          if (endpoint !== undefined) {
            // Several servers may share one name. A new connection may lead to another one of them.
            endpoint.reconnect();
            giveUp(endpoint);
            failed.add(endpoint);
          }
          if (endpoint !== undefined && failed.size < order.length && !whole.aborted) continue;
          throw etcdError(error, urls, attempt);
        }
        throw etcdError(error, endpoint === undefined ? urls : [endpoint.url], attempt);
      }
    }
  }

  function serverAt(endpoint: EtcdEndpoint, bearer: string, again: boolean, signal: AbortSignal): EtcdServer {
    return {
      again,
      call: (method, request) => endpoint.call(method, request, signal, bearer),
      stream: (method, listener) => endpoint.stream(method, bearer, listener),
    };
  }

  return {
    run,
    broken(thrown, attempt) {
      const failure = parseEtcdFailure(thrown);
      if (chosen !== undefined && isServerFailure(failure)) giveUp(chosen);
      // A watch with an expired token is refused like one without the right to watch.
      if (!isServerFailure(failure)) token = undefined;
      return etcdError(thrown, urls, attempt);
    },
    reconnect() {
      for (const endpoint of endpoints) endpoint.reconnect();
    },
    close() {
      isClosed = true;
      for (const endpoint of endpoints) endpoint.close();
    },
  };
}

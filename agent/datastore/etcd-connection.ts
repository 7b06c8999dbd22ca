// The connection to an etcd cluster, and the door to its library: one call or one stream at one of several servers,
// within a limited time. Which server, the user's token and what counts as a dead server are decided here; what
// the calls mean is not.
//
// Of the library only the transport and the message types are used. Its client retries, rotates and re-opens by rules
// of its own, which hide a lost watch and a compacted history.
import { readFile } from 'node:fs/promises';
import { ConnectionPool } from 'etcd3/lib/connection-pool.js';
import { type Clock, deadline } from '../base/clock.ts';
import { asTwillError, TwillError } from '../base/errors.ts';
import { LIMITS } from '../limits.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import { parseAddress } from '../model/ip.ts';
import { etcdError, isAuthDisabled, isServerFailure, isStaleToken, readFailure } from './etcd-errors.ts';

export type {
  IKeyValue as KeyValue,
  ILeaseKeepAliveRequest as KeepAliveRequest,
  ILeaseKeepAliveResponse as KeepAliveResponse,
  IRangeResponse as RangeResponse,
  ITxnRequest as TxnRequest,
  ITxnResponse as TxnResponse,
  IWatchRequest as WatchRequest,
  IWatchResponse as WatchResponse,
} from 'etcd3/lib/rpc.js';

/** A stream in both directions, as gRPC gives it. */
export interface EtcdStream<Request, Response> {
  on(event: 'data', listener: (message: Response) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  write(message: Request): unknown;
  end(): void;
  cancel(): void;
}

type Service = Parameters<ConnectionPool['withConnection']>[0];

/** One server of the cluster, during one operation. */
export interface EtcdServer {
  call<Response>(service: Service, method: string, request: object): Promise<Response>;
  stream<Request, Response>(service: Service, method: string): Promise<EtcdStream<Request, Response>>;
  /** Whether an earlier attempt of this operation failed so that its outcome is not known. */
  readonly again: boolean;
}

export interface EtcdConnection {
  /**
   * Runs an operation at a server, and at the next one where that server fails. Fails as `datastore`, or with the
   * signal's reason.
   */
  run<T>(
    what: string,
    signal: AbortSignal | undefined,
    operation: (server: EtcdServer, signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  /** The error for a stream that broke after `run` had ended; the next operation asks another server. */
  broken(thrown: unknown, what: string): TwillError;
  close(): void;
}

interface Endpoint {
  readonly url: string;
  readonly pool: ConnectionPool;
}

type Callable = (...args: unknown[]) => { cancel(): void };

/** Prepares the connection; nothing is asked yet. Fails as `datastore` when certificates cannot be read or used. */
export async function createEtcdConnection(
  options: EtcdOptions,
  clock: Clock,
  random: () => number,
): Promise<EtcdConnection> {
  const tls = await readTlsFiles(options);
  const endpoints = options.endpoints.map((url): Endpoint => ({ url, pool: createPool(url, tls) }));
  // Thousands of agents spread over the servers, each in an order of its own.
  const start = Math.floor(random() * endpoints.length);
  let order = [...endpoints.slice(start), ...endpoints.slice(0, start)];
  let chosen = order.length === 1 ? order[0] : undefined;
  let token: Promise<string> | undefined;

  async function context(endpoint: Endpoint, service: Service, bearer: string) {
    const { client, metadata } = await endpoint.pool.withConnection(service, (found) => found);
    if (bearer !== '') metadata.set('token', bearer);
    return { client, metadata };
  }

  async function callAt<Response>(
    endpoint: Endpoint,
    service: Service,
    method: string,
    request: object,
    signal: AbortSignal,
    bearer: string,
  ): Promise<Response> {
    const { client, metadata } = await context(endpoint, service, bearer);
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const cancel = (): void => {
        call.cancel();
        reject(signal.reason);
      };
      const done = (error: Error | null, response: Response): void => {
        signal.removeEventListener('abort', cancel);
        if (error === null) resolve(response);
        else reject(error);
      };
      const rpc = (client as unknown as Record<string, Callable>)[method];
      if (rpc === undefined) throw new Error(`etcd has no ${service}.${method}`);
      const call = rpc.call(client, request, metadata, {}, done);
      signal.addEventListener('abort', cancel, { once: true });
    });
  }

  async function login(endpoint: Endpoint, signal: AbortSignal): Promise<string> {
    const { username, password } = options;
    if (username === undefined) return '';
    try {
      const request = { name: username, password: password ?? '' };
      return (await callAt<{ token: string }>(endpoint, 'Auth', 'authenticate', request, signal, '')).token;
    } catch (error) {
      if (isAuthDisabled(readFailure(error))) return '';
      throw error;
    }
  }

  async function tokenAt(endpoint: Endpoint, signal: AbortSignal): Promise<string> {
    token ??= login(endpoint, signal);
    const mine = token;
    return mine.catch((error: unknown) => {
      if (token === mine) token = undefined;
      throw error;
    });
  }

  // The first server that answers anything; a dead one costs a moment, not a time-out.
  async function choose(failed: ReadonlySet<Endpoint>, signal: AbortSignal): Promise<Endpoint> {
    if (chosen !== undefined && !failed.has(chosen)) return chosen;
    const candidates = order.filter((endpoint) => !failed.has(endpoint));
    const found = new AbortController();
    const stop = (): void => found.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const first = await Promise.any(
        candidates.map(async (endpoint, i) => {
          if (i > 0) await clock.sleep(i * LIMITS.datastoreStaggerMs, found.signal);
          await callAt(endpoint, 'Maintenance', 'status', {}, found.signal, '').catch((error: unknown) => {
            if (isServerFailure(readFailure(error))) throw error;
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

  function giveUp(endpoint: Endpoint): void {
    if (order.length === 1) return;
    if (chosen === endpoint) chosen = undefined;
    order = [...order.filter((other) => other !== endpoint), endpoint];
  }

  async function run<T>(
    what: string,
    signal: AbortSignal | undefined,
    operation: (server: EtcdServer, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    using whole = deadline(signal, LIMITS.datastoreRequestMs, 'etcd');
    const failed = new Set<Endpoint>();
    let freshToken = false;
    for (;;) {
      let endpoint: Endpoint | undefined;
      try {
        endpoint = await choose(failed, whole);
        // The last server may use what is left of the time, the others share it.
        const shareMs = LIMITS.datastoreRequestMs / (order.length - failed.size);
        using share = deadline(whole, shareMs, 'etcd');
        const bearer = await tokenAt(endpoint, share);
        return await operation(serverAt(endpoint, bearer, failed.size > 0, share), share);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = readFailure(error);
        if (isStaleToken(failure) && options.username !== undefined && !freshToken) {
          freshToken = true;
          token = undefined;
          continue;
        }
        if (!(error instanceof TwillError) && isServerFailure(failure)) {
          if (endpoint !== undefined) {
            giveUp(endpoint);
            failed.add(endpoint);
          }
          if (endpoint !== undefined && failed.size < order.length && !whole.aborted) continue;
          throw etcdError(error, options.endpoints, what);
        }
        throw etcdError(error, endpoint === undefined ? options.endpoints : [endpoint.url], what);
      }
    }
  }

  function serverAt(endpoint: Endpoint, bearer: string, again: boolean, signal: AbortSignal): EtcdServer {
    return {
      again,
      call: (service, method, request) => callAt(endpoint, service, method, request, signal, bearer),
      async stream<Request, Response>(service: Service, method: string) {
        const { client, metadata } = await context(endpoint, service, bearer);
        // A server that was cut off from its cluster would keep the stream open and never tell anything again.
        metadata.set('hasleader', 'true');
        const rpc = (client as unknown as Record<string, Callable>)[method];
        if (rpc === undefined) throw new Error(`etcd has no ${service}.${method}`);
        return rpc.call(client, metadata, {}) as unknown as EtcdStream<Request, Response>;
      },
    };
  }

  return {
    run,
    broken(thrown, what) {
      const failure = readFailure(thrown);
      if (chosen !== undefined && isServerFailure(failure)) giveUp(chosen);
      // A watch with an expired token is refused like one without the right to watch.
      if (!isServerFailure(failure)) token = undefined;
      return etcdError(thrown, options.endpoints, what);
    },
    close() {
      for (const { pool } of endpoints) pool.close();
    },
  };
}

interface TlsFiles {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

async function readTlsFiles({ caFile, certFile, keyFile }: EtcdOptions): Promise<TlsFiles> {
  const read = async (flag: string, path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    return readFile(path).catch((error: unknown) => {
      throw asTwillError(
        error,
        'datastore',
        `cannot read ${flag} ${path}`,
        `give a PEM file that this user may read`,
      );
    });
  };
  return {
    ca: await read('--etcd-cafile', caFile),
    cert: await read('--etcd-certfile', certFile),
    key: await read('--etcd-keyfile', keyFile),
  };
}

function createPool(url: string, { ca, cert, key }: TlsFiles): ConnectionPool {
  const { protocol, host } = new URL(url);
  // The library takes the presence of credentials for TLS, whatever the scheme is; its type wants a CA, but
  // without one the system's are used.
  const credentials = {
    ...(ca === undefined ? {} : { rootCertificate: ca }),
    ...(cert === undefined || key === undefined ? {} : { certChain: cert, privateKey: key }),
  } as { rootCertificate: Buffer };
  // gRPC names the server in the TLS handshake even where its name is an address; Node would print a warning
  // about that into our log, for its own developers.
  if (protocol === 'https:' && parseAddress(host.replace(/:\d+$/, '')) !== undefined)
    Object.assign(process, { noDeprecation: true });
  try {
    return new ConnectionPool({
      hosts: `${protocol}//${host}`,
      ...(protocol === 'https:' ? { credentials } : {}),
      grpcOptions: {
        'grpc.max_receive_message_length': LIMITS.datastoreAnswerBytes,
        // A connection that was dropped silently is found out while a watch stands, which is always. etcd takes
        // pings on a connection without calls for an attack, and closes it.
        'grpc.keepalive_time_ms': LIMITS.datastorePingMs,
        'grpc.keepalive_timeout_ms': LIMITS.datastorePingTimeoutMs,
        'grpc.initial_reconnect_backoff_ms': LIMITS.datastoreBackoff.firstMs,
        'grpc.max_reconnect_backoff_ms': LIMITS.datastoreReconnectMs,
        // etcd is on the nodes' own network, whatever proxy the environment names for the web.
        'grpc.enable_http_proxy': 0,
        'grpc.service_config_disable_resolution': 1,
      },
    });
  } catch (error) {
    throw asTwillError(
      error,
      'datastore',
      'cannot use the files for TLS with etcd',
      '--etcd-cafile, --etcd-certfile and --etcd-keyfile must be PEM, and the key must belong to the certificate',
    );
  }
}

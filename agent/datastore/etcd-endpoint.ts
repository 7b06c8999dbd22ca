// One server of an etcd cluster, and the door to etcd's library: a call or a stream, as it is.
//
// Of the library only the transport and the message types are used. Its client retries, rotates and re-opens by rules
// of its own, which hide a lost watch and a compacted history; it also leaves no way to cancel a call.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConnectionPool } from 'etcd3/lib/connection-pool.js';
import { asTwillError, messageOf, TwillError } from '../base/errors.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import { parseAddress } from '../model/ip.ts';
import { DATASTORE_BACKOFF } from '../model/limits.ts';
import { LIMITS } from './limits.ts';

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

/** A gRPC service of etcd. */
export type EtcdService = Parameters<ConnectionPool['withConnection']>[0];

/** Calls fail with whatever the library throws: see etcd-errors.ts. */
export interface EtcdEndpoint {
  readonly url: string;
  /** One request and its answer, until `signal` is aborted; `token` may be empty. */
  call<Response>(
    service: EtcdService,
    method: string,
    request: object,
    signal: AbortSignal,
    token: string,
  ): Promise<Response>;
  stream<Request, Response>(
    service: EtcdService,
    method: string,
    token: string,
  ): Promise<EtcdStream<Request, Response>>;
  /** What starts from now on gets a connection of its own. */
  reconnect(): void;
  close(): void;
}

type Callable = (...args: unknown[]) => { cancel(): void };

/** Prepares the client of one server; nothing is asked yet. Fails as `datastore` when the files cannot be used. */
export function createEtcdEndpoint(url: string, tls: TlsFiles): EtcdEndpoint {
  let generation = 0;
  let pool = createPool(url, tls, generation);

  async function prepare(service: EtcdService, method: string, token: string) {
    const { client, metadata } = await pool.withConnection(service, (found) => found);
    const callable = (client as unknown as Record<string, Callable>)[method];
    if (callable === undefined) throw new Error(`etcd has no ${service}.${method}`);
    if (token !== '') metadata.set('token', token);
    return { metadata, start: callable.bind(client) };
  }

  return {
    url,
    async call<Response>(
      service: EtcdService,
      method: string,
      request: object,
      signal: AbortSignal,
      token: string,
    ) {
      const { metadata, start } = await prepare(service, method, token);
      signal.throwIfAborted();
      return new Promise<Response>((resolve, reject) => {
        const cancel = (): void => {
          call.cancel();
          reject(signal.reason);
        };
        const done = (error: Error | null, response: Response): void => {
          signal.removeEventListener('abort', cancel);
          if (error === null) resolve(response);
          else reject(error);
        };
        const call = start(request, metadata, {}, done);
        signal.addEventListener('abort', cancel, { once: true });
      });
    },
    async stream<Request, Response>(service: EtcdService, method: string, token: string) {
      const { metadata, start } = await prepare(service, method, token);
      // A server that was cut off from its cluster would keep the stream open and never tell anything again.
      metadata.set('hasleader', 'true');
      return start(metadata, {}) as unknown as EtcdStream<Request, Response>;
    },
    reconnect() {
      pool.close();
      pool = createPool(url, tls, ++generation);
    },
    close: () => pool.close(),
  };
}

/** Contents of PEM files. */
export interface TlsFiles {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/** Reads the files that the options name. Fails as `datastore`. */
export async function readTlsFiles({ caFile, certFile, keyFile }: EtcdOptions): Promise<TlsFiles> {
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
  const ca = await read('--etcd-cafile', caFile);
  // The TLS library passes over what it cannot read in a file of CAs, and then trusts nobody.
  if (ca !== undefined) {
    try {
      new X509Certificate(ca);
    } catch (error) {
      throw new TwillError('datastore', `--etcd-cafile ${caFile} is not a certificate: ${messageOf(error)}`, {
        hint: 'give the certificate of the CA in PEM form',
        cause: error,
      });
    }
  }
  return {
    ca,
    cert: await read('--etcd-certfile', certFile),
    key: await read('--etcd-keyfile', keyFile),
  };
}

function createPool(url: string, { ca, cert, key }: TlsFiles, generation: number): ConnectionPool {
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
        'grpc.initial_reconnect_backoff_ms': DATASTORE_BACKOFF.firstMs,
        'grpc.max_reconnect_backoff_ms': LIMITS.datastoreReconnectMs,
        // gRPC shares connections between pools whose options are the same.
        'twill.generation': generation,
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

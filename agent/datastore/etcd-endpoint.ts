// One server of an etcd cluster: etcd's calls and streams over gRPC, without retries.
import { X509Certificate } from 'node:crypto';
import { asTwillError, messageOf, TwillError } from '../base/errors.ts';
import { readWholeFile } from '../base/read-file.ts';
import type { EtcdOptions } from '../model/datastore-options.ts';
import { type EtcdMethod, METHODS, type Request, type Response } from './etcd-messages.ts';
import { createGrpcClient, type GrpcCall, type TlsFiles } from './grpc.ts';
import { LIMITS } from './limits.ts';
import { decode, encode } from './protobuf.ts';

/** A stream in both directions. */
export interface EtcdStream<M extends EtcdMethod> {
  send(message: Request<M>): void;
  /** Ends the stream. Its listener is not called any more. */
  cancel(): void;
}

/** Receives the messages of a stream, and its end. */
export interface EtcdListener<M extends EtcdMethod> {
  onMessage(message: Response<M>): void;
  /** Called once, unless the stream was cancelled; etcd-errors.ts reads the error. */
  onEnd(error: Error): void;
}

/** The client of one server. Its calls fail with errors that etcd-errors.ts reads. */
export interface EtcdEndpoint {
  readonly url: string;
  /** One request and its answer, until `signal` is aborted; `token` may be empty. */
  call<M extends EtcdMethod>(
    method: M,
    request: Request<M>,
    signal: AbortSignal,
    token: string,
  ): Promise<Response<M>>;
  stream<M extends EtcdMethod>(method: M, token: string, listener: EtcdListener<M>): EtcdStream<M>;
  /** Gives the connection up: its calls and streams fail, and the next one opens a new connection. */
  reconnect(): void;
  close(): void;
}

/**
 * Prepares the client of one server; nothing is asked yet. `random` chooses among the addresses of its name. Fails as
 * `datastore` when the files cannot be used.
 */
export function createEtcdEndpoint(url: string, tls: TlsFiles, random: () => number): EtcdEndpoint {
  const client = createGrpcClient(url, tls, random);

  function start<M extends EtcdMethod>(
    method: M,
    metadata: Readonly<Record<string, string>>,
    onMessage: (message: Response<M>) => void,
    onEnd: (error: Error | undefined) => void,
  ): GrpcCall {
    const call = client.start(`/etcdserverpb.${method}`, metadata, {
      onMessage(bytes) {
        try {
          onMessage(decode(METHODS[method].response, bytes) as Response<M>);
        } catch (error) {
          call.cancel();
          onEnd(error as Error);
        }
      },
      onEnd,
    });
    return call;
  }

  return {
    url,
    async call(method, request, signal, token) {
      signal.throwIfAborted();
      return new Promise((resolve, reject) => {
        const cancel = (): void => {
          call.cancel();
          reject(signal.reason);
        };
        const call = start(method, tokenOf(token), resolve, (error) => {
          signal.removeEventListener('abort', cancel);
          reject(error ?? new Error('the server gave no answer'));
        });
        call.send(encode(METHODS[method].request, request));
        call.finish();
        signal.addEventListener('abort', cancel, { once: true });
      });
    },
    stream(method, token, listener) {
      // Without this a server that was cut off from its cluster would keep the stream open, silent for ever.
      const metadata = { ...tokenOf(token), hasleader: 'true' };
      const call = start(
        method,
        metadata,
        (message) => listener.onMessage(message),
        (error) => listener.onEnd(error ?? new Error('the server ended the stream')),
      );
      return {
        send: (message) => call.send(encode(METHODS[method].request, message)),
        cancel: () => call.cancel(),
      };
    },
    reconnect: () => client.reconnect(),
    close: () => client.close(),
  };
}

function tokenOf(token: string): Readonly<Record<string, string>> {
  return token === '' ? {} : { token };
}

/** Reads the files that the options name. Fails as `datastore`. */
export async function readTlsFiles({ caFile, certFile, keyFile }: EtcdOptions): Promise<TlsFiles> {
  const read = async (flag: string, path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined;
    return readWholeFile(path, { maxBytes: LIMITS.tlsFileBytes }).catch((error: unknown) => {
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

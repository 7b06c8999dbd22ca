// A gRPC client of one server over HTTP/2, without compression. The first call opens a connection, and all calls share
// it. The first call after its end opens a new one. The client retries nothing.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { LookupFunction } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { systemClock } from '../base/clock.ts';
import { asTwillError } from '../base/errors.ts';
import { excerpt } from '../base/schema.ts';
import { createDeframer, framed, GrpcError } from './grpc-frames.ts';
import { LIMITS } from './limits.ts';
import { createRotatingLookup } from './rotating-lookup.ts';

/** Contents of PEM files. */
export interface TlsFiles {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/** Receives the messages of one call, and its end. */
export interface GrpcListener {
  onMessage(message: Buffer): void;
  /** Called once, unless the call was cancelled; `undefined` after the status OK. Nothing follows it. */
  onEnd(error: Error | undefined): void;
}

/** A running call. */
export interface GrpcCall {
  send(message: Uint8Array): void;
  /** Sends the end of our messages. */
  finish(): void;
  /** Ends the call. Its listener is not called any more. */
  cancel(): void;
}

export interface GrpcClient {
  /** Starts a call; `path` is `/package.Service/Method`. */
  start(path: string, metadata: Readonly<Record<string, string>>, listener: GrpcListener): GrpcCall;
  /** Gives the connection up: its calls fail, and the next call opens a new one. */
  reconnect(): void;
  close(): void;
}

/** The error text when the server closed the connection before it spoke HTTP/2. */
export const CLOSED_AT_ONCE = 'the connection was closed before the first answer';

const GRPC_TYPE = 'application/grpc';

const UNKNOWN = 2;
const UNAVAILABLE = 14;

/**
 * Creates a client without a request. `url` is http or https. Each connection looks its name up anew, and begins with
 * another address of it; `random` chooses the first one. Fails as `datastore` when the files cannot be used.
 */
export function createGrpcClient(url: string, files: TlsFiles, random: () => number): GrpcClient {
  const isTls = url.startsWith('https:');
  const secureContext = isTls ? secureContextOf(files) : undefined;
  const rotatingLookup = createRotatingLookup(random);
  let connection: Connection | undefined;

  const drop = (why: string): void => {
    connection?.session.destroy(new Error(why));
    connection = undefined;
  };

  return {
    start(path, metadata, listener) {
      if (connection?.isUsable() !== true) connection = openConnection(url, secureContext, rotatingLookup);
      return connection.start(path, metadata, listener);
    },
    reconnect: () => drop('the connection was given up'),
    close: () => drop('the connection is closed'),
  };
}

function secureContextOf({ ca, cert, key }: TlsFiles): SecureContext {
  try {
    return createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
  } catch (error) {
    throw asTwillError(
      error,
      'datastore',
      'cannot use the files for TLS with etcd',
      '--etcd-cafile, --etcd-certfile and --etcd-keyfile must be PEM, and the key must belong to the certificate',
    );
  }
}

interface Connection {
  readonly session: ClientHttp2Session;
  /** Whether calls can be started on it. */
  isUsable(): boolean;
  start(...args: Parameters<GrpcClient['start']>): GrpcCall;
}

function openConnection(
  url: string,
  secureContext: SecureContext | undefined,
  rotatingLookup: LookupFunction,
): Connection {
  const session = connect(url, {
    ...(secureContext && { secureContext }),
    lookup: rotatingLookup,
    // With the default window the server would wait for our acknowledgement after each 64 KiB of a long listing.
    settings: { enablePush: false, initialWindowSize: LIMITS.datastoreWindowBytes },
  });
  const calls = new Set<ClientHttp2Stream>();
  const ended = new AbortController();
  let isUsable = true;
  let hasSpoken = false;
  let failure: Error | undefined;

  session.on('error', (error) => {
    failure = error;
  });
  session.on('connect', () => {
    // Node tells also of the connection of a session that was destroyed before.
    if (!session.destroyed) session.setLocalWindowSize(LIMITS.datastoreWindowBytes);
  });
  session.on('remoteSettings', () => {
    hasSpoken = true;
  });
  session.on('goaway', () => {
    isUsable = false;
  });
  session.on('close', () => {
    isUsable = false;
    ended.abort();
  });
  keepAlive(session, calls, ended.signal).catch(() => undefined);

  const lost = (): Error => failure ?? new Error(hasSpoken ? 'the connection was closed' : CLOSED_AT_ONCE);

  return {
    session,
    isUsable: () => isUsable && !session.closed && !session.destroyed,
    start(path, metadata, listener) {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': GRPC_TYPE,
        te: 'trailers',
        ...metadata,
      });
      let status: IncomingHttpHeaders | undefined;
      let isOver = false;
      calls.add(stream);
      const end = (error: Error | undefined): void => {
        if (isOver) return;
        isOver = true;
        listener.onEnd(error);
      };
      const refuse = (error: Error): void => {
        stream.close(constants.NGHTTP2_CANCEL);
        end(error);
      };
      // The status follows the messages, or takes their place.
      const hear = (headers: IncomingHttpHeaders): void => {
        if ('grpc-status' in headers) status = headers;
      };
      stream.on('response', (headers) => {
        hear(headers);
        const code = headers[':status'];
        const type = headers['content-type'] ?? GRPC_TYPE;
        if (code !== 200) refuse(new GrpcError(UNAVAILABLE, `it answered with the HTTP status ${code}`));
        else if (!type.startsWith(GRPC_TYPE))
          refuse(new GrpcError(UNAVAILABLE, `it answered with ${excerpt(type)}, and not with gRPC`));
      });
      stream.on('trailers', hear);
      const take = createDeframer((message) => {
        if (!isOver) listener.onMessage(message);
      });
      stream.on('data', (bytes: Buffer) => {
        try {
          take(bytes);
        } catch (error) {
          refuse(error as Error);
        }
      });
      stream.on('end', () => {
        stream.end();
        if (status !== undefined) end(statusError(status));
      });
      stream.on('error', (error) => end(reasonOf(error) ?? lost()));
      stream.on('close', () => {
        calls.delete(stream);
        end(lost());
      });
      return {
        send: (message) => void stream.write(framed(message)),
        finish: () => void stream.end(),
        cancel() {
          isOver = true;
          stream.close(constants.NGHTTP2_CANCEL);
          // No other call waits for this connection, which may never be established.
          if (session.connecting && calls.size === 1) session.destroy();
        },
      };
    },
  };
}

// Node wraps the error of the connection for the calls that waited for it. There may be none.
function reasonOf(error: Error): Error | undefined {
  if (error.cause instanceof Error) return error.cause;
  return 'code' in error && error.code === 'ERR_HTTP2_STREAM_CANCEL' ? undefined : error;
}

// Detects a connection that was dropped silently. It sends no ping without a call: etcd takes that for an attack and
// closes the connection.
async function keepAlive(
  session: ClientHttp2Session,
  calls: ReadonlySet<ClientHttp2Stream>,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await systemClock.sleep(LIMITS.datastorePingMs, signal);
    if (calls.size === 0 || session.connecting) continue;
    const answered = new AbortController();
    session.ping(() => answered.abort());
    await systemClock.sleep(LIMITS.datastorePingTimeoutMs, answered.signal).then(
      () => session.destroy(new Error(`no answer to a ping within ${LIMITS.datastorePingTimeoutMs} ms`)),
      () => undefined,
    );
  }
}

function statusError(headers: IncomingHttpHeaders): Error | undefined {
  const status = headers['grpc-status'];
  if (status === '0') return undefined;
  const message = unescaped(String(headers['grpc-message'] ?? ''));
  return new GrpcError(
    Number(status) || UNKNOWN,
    message || `it answered with the gRPC status ${excerpt(status)}`,
  );
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

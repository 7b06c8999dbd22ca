// One request to an API server at a time, over HTTP/1.1 and connections that are kept. Token, CA and client certificate
// are read for each request: a change of the CA or the certificate makes a new connection by itself. It follows no
// redirect and retries nothing, but for a kept connection that the server had closed meanwhile.
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import type { Agent, RequestOptions as TlsOptions } from 'node:https';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Clock } from '../../base/clock.ts';
import { errnoOf } from '../../base/errors.ts';
import { type ApiAccess, readSource, readToken } from './access.ts';
import {
  ApiError,
  type Attempt,
  failureOf,
  parseAnswer,
  readStatus,
  refusalOf,
  Unreadable,
} from './api-error.ts';
import { LIMITS } from './limits.ts';
import { createPatience, type Patience, type PatienceLimits } from './patience.ts';
import { createTrust } from './trust.ts';

export interface ApiRequest {
  readonly attempt: Attempt;
  readonly method: 'GET' | 'PATCH';
  /** Below the server's own path, with the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly patience: PatienceLimits;
}

/** An answer with a status of success. */
export interface ApiAnswer extends Disposable {
  /** Read once; fails as ApiError. Ending it early closes the connection. */
  readonly body: AsyncIterable<Buffer>;
}

/** Fails as ApiError, or with the reason of the caller's signal. */
export interface Transport extends Disposable {
  /** For messages. */
  readonly server: string;
  send(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>;
  /** Closes all connections; requests under way fail as `given-up`. */
  reconnect(): void;
}

/** A transport without a connection. Disposing closes all connections. */
export function createTransport(access: ApiAccess, clock: Clock): Transport {
  const server = access.server.href.replace(/\/$/, '');
  const prefix = access.server.pathname.replace(/\/$/, '');
  const trust = createTrust(access.ca);
  const active = new Set<Patience>();
  let agent: Agent | undefined;

  async function optionsOf({ method, path, headers, body }: ApiRequest): Promise<RequestOptions> {
    const { hostname, port, protocol } = access.server;
    const token = access.token && (await readToken(access.token));
    return {
      protocol,
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: port === '' ? (protocol === 'https:' ? 443 : 80) : port,
      method,
      path: prefix + path,
      headers: {
        accept: 'application/json',
        'user-agent': 'twill',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
        ...headers,
      },
    };
  }

  async function tlsOptions(): Promise<TlsOptions> {
    const { client, serverName, isVerified } = access;
    return {
      ...(client && {
        cert: await readSource(client.cert, 'the client certificate'),
        key: await readSource(client.key, 'the client key'),
      }),
      ...(serverName === undefined ? {} : { servername: serverName }),
      rejectUnauthorized: isVerified,
    };
  }

  async function exchange(request: ApiRequest, patience: Patience): Promise<IncomingMessage> {
    const options = await optionsOf(request);
    const { request: plain, Agent: PlainAgent } = await import('node:http');
    const kept = {
      keepAlive: true,
      keepAliveMsecs: LIMITS.keepAliveMs,
      maxFreeSockets: LIMITS.idleConnections,
    };
    if (access.server.protocol === 'http:') {
      agent ??= new PlainAgent(kept) as Agent;
      return converse(() => plain({ ...options, ...(agent && { agent }) }), request.body, patience);
    }
    const { request: secure, Agent: SecureAgent } = await import('node:https');
    const tls = await tlsOptions();
    return trust.attempt((ca) => {
      agent ??= new SecureAgent(kept);
      const whole = { ...options, ...tls, ...(ca === undefined ? {} : { ca }), agent };
      return converse(() => secure(whole), request.body, patience);
    });
  }

  const release = (patience: Patience): void => {
    active.delete(patience);
    patience[Symbol.dispose]();
  };

  async function send(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> {
    signal.throwIfAborted();
    const { attempt } = request;
    const patience = createPatience(clock, request.patience, signal);
    active.add(patience);
    const convert = (error: unknown): unknown => {
      if (signal.aborted) return signal.reason;
      return failureOf(attempt, patience.signal.aborted ? patience.signal.reason : error);
    };
    try {
      const response = await exchange(request, patience);
      const body = bytesOf(response, patience, convert);
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 299) throw await refused(attempt, response, body);
      return { body, [Symbol.dispose]: () => release(patience) };
    } catch (error) {
      release(patience);
      throw convert(error);
    }
  }

  const drop = (): void => {
    agent?.destroy();
    agent = undefined;
    for (const patience of active)
      patience.end(new ApiError('given-up', `the connection to ${server} was given up`));
  };

  return { server, send, reconnect: drop, [Symbol.dispose]: drop };
}

/** Sends a request and waits for the head of its answer. */
async function converse(
  start: () => ClientRequest,
  body: string | undefined,
  { signal }: Patience,
): Promise<IncomingMessage> {
  for (let stale = 0; ; stale++) {
    const request = start();
    try {
      return await new Promise<IncomingMessage>((resolve, reject) => {
        const stop = (): void => void request.destroy(signal.reason as Error);
        signal.addEventListener('abort', stop, { once: true });
        request.once('close', () => signal.removeEventListener('abort', stop));
        request.once('response', resolve);
        // Errors after the head are told by the answer, too.
        request.on('error', reject);
        if (signal.aborted) stop();
        request.setSocketKeepAlive(true, LIMITS.keepAliveMs);
        request.end(body);
      });
    } catch (error) {
      const wasClosed = request.reusedSocket && ['ECONNRESET', 'EPIPE'].includes(errnoOf(error) ?? '');
      if (!wasClosed || stale >= LIMITS.idleConnections || signal.aborted) throw error;
    }
  }
}

async function* bytesOf(
  response: IncomingMessage,
  patience: Patience,
  convert: (error: unknown) => unknown,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of unpacked(response)) {
      patience.heard();
      yield chunk as Buffer;
    }
  } catch (error) {
    throw convert(error);
  }
}

function unpacked(response: IncomingMessage): NodeJS.ReadableStream {
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return response;
  if (encoding !== 'gzip') throw new Unreadable(`the answer has an unknown content-encoding`);
  return pipeline(response, createGunzip(), () => undefined);
}

/** The error for an answer with another status than success. Reads a short body, so that the connection is kept. */
async function refused(
  attempt: Attempt,
  response: IncomingMessage,
  body: AsyncIterable<Buffer>,
): Promise<ApiError> {
  const status = response.statusCode ?? 0;
  const retryAfter = response.headers['retry-after'];
  const chunks: Buffer[] = [];
  let bytes = 0;
  let value: unknown;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > LIMITS.statusBytes) break;
    }
    value = parseAnswer(Buffer.concat(chunks));
  } catch {
    // Not every refusal is a Kubernetes Status: proxies answer in HTML.
  }
  return refusalOf(attempt, { ...readStatus(value, status, retryAfter), code: status });
}

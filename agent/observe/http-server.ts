// A small HTTP server for probes. It reads only the request line and headers, answers GET and HEAD with text, and keeps
// no connection open, so that a hostile client costs little.
import { lookup } from 'node:dns/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asTwillError } from '../base/errors.ts';
import { LIMITS } from './limits.ts';

/** The answer of a path. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** Default: `text/plain; charset=utf-8`. */
  readonly contentType?: string;
}

export interface HttpServerOptions {
  /** Address or host name to listen at; empty: all addresses. A name's IPv4 address comes first, as in Go. */
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  /** Answers by path, such as `/healthz`. */
  readonly routes: Readonly<Record<string, () => HttpAnswer>>;
}

export interface HttpServer extends AsyncDisposable {
  /** The port it listens at. */
  readonly port: number;
}

/**
 * Starts to listen. Fails as `host` when the address or port is not available. Disposal closes open connections at
 * once.
 */
export async function startHttpServer({ ip, port, routes }: HttpServerOptions): Promise<HttpServer> {
  const byPath = new Map(Object.entries(routes));
  const server = createServer(
    {
      maxHeaderSize: LIMITS.httpHeaderBytes,
      headersTimeout: LIMITS.httpRequestMs,
      requestTimeout: LIMITS.httpRequestMs,
      connectionsCheckingInterval: LIMITS.httpRequestMs / 5,
      keepAlive: false,
    },
    (request, response) => {
      const answer = answerTo(byPath, request.method, request.url);
      response.writeHead(answer.status, {
        'Content-Type': answer.contentType ?? 'text/plain; charset=utf-8',
        'Content-Length': Buffer.byteLength(answer.body),
        'Cache-Control': 'no-store',
        Connection: 'close',
        ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
      });
      response.end(answer.body);
    },
  );
  server.maxConnections = LIMITS.httpConnections;
  // For a client that sends nothing, or does not read its answer.
  server.setTimeout(2 * LIMITS.httpRequestMs, (socket) => socket.destroy());
  try {
    const address = ip === '' ? undefined : (await lookup(ip, { order: 'ipv4first' })).address;
    await new Promise<void>((resolve, reject) => {
      // Also swallows later errors: a connection that cannot be accepted (no file descriptors) is no reason to end.
      server.on('error', reject);
      server.listen(port, address, resolve);
    });
  } catch (error) {
    throw asTwillError(error, 'host', `cannot listen at ${formatEndpoint(ip, port)}`, HINT);
  }
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const HINT = 'choose another --healthz-port or --healthz-ip, or stop the program that uses this one';

function answerTo(
  routes: ReadonlyMap<string, () => HttpAnswer>,
  method: string | undefined,
  url: string | undefined,
): HttpAnswer {
  const route = routes.get((url ?? '').split('?', 1)[0] ?? '');
  if (route === undefined) return { status: 404, body: 'not found\n' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET and HEAD\n' };
  return route();
}

function formatEndpoint(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

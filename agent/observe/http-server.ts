// A small HTTP server for probes. It reads only the request line and headers, and answers one GET or HEAD with text. A
// connection that takes longer than any honest one is closed, so that a hostile client costs little.
import { lookup } from 'node:dns/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { asTwillError, messageOf } from '../base/errors.ts';
import { printableLines } from '../base/printable.ts';
import { HttpConnections } from './http-connections.ts';
import { LIMITS } from './limits.ts';

/** The answer of a path. */
export interface HttpAnswer {
  readonly status: number;
  /** Unprintable characters leave the server escaped. */
  readonly body: string;
  /** Default: `text/plain; charset=utf-8`. */
  readonly contentType?: string;
}

export interface HttpServerOptions {
  /** Address or host name to listen at; empty: all addresses. A name's IPv4 address comes first, as in Go. */
  readonly ip: string;
  /** 0: any free port. */
  readonly port: number;
  readonly routes: Routes;
}

/** Answers by path, such as `/healthz`. A path that ends in a slash stands for all those directly below it. */
export type Routes = Readonly<Record<string, (url: URL) => HttpAnswer | Promise<HttpAnswer>>>;

export interface HttpServer extends AsyncDisposable {
  /** The port it listens at. */
  readonly port: number;
}

/** A server of `routes` that does not listen yet. */
export function createHttpServer(routes: Routes): Server {
  const byPath = new Map(Object.entries(routes));
  const server = createServer(
    {
      maxHeaderSize: LIMITS.httpHeaderBytes,
      // Connections are timed below, whatever they wait for.
      headersTimeout: 0,
      requestTimeout: 0,
      keepAlive: false,
    },
    async (request, response) => {
      const answer = await answerTo(byPath, request.method, request.url);
      const body = printableLines(answer.body);
      response.writeHead(answer.status, {
        'Content-Type': answer.contentType ?? 'text/plain; charset=utf-8',
        'Content-Length': Buffer.byteLength(body),
        'Cache-Control': 'no-store',
        Connection: 'close',
        ...(answer.status === 405 ? { Allow: 'GET, HEAD' } : {}),
      });
      response.end(body);
    },
  );
  // Clients send further requests without waiting for the answer. They would be answered too, though nobody gets that.
  server.maxRequestsPerSocket = 1;
  return server;
}

/**
 * Starts to listen. Fails as `host` when the address or port is not available. Disposal closes open connections at
 * once.
 */
export async function startHttpServer({ ip, port, routes }: HttpServerOptions): Promise<HttpServer> {
  const server = createHttpServer(routes);
  const connections = new HttpConnections();
  server.on('connection', (socket) => {
    connections.admit(socket);
    socket.on('close', () => connections.remove(socket));
  });
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
  const stop = new AbortController();
  void lookAgainAndAgain(connections, stop.signal);
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        stop.abort();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const HINT = 'choose another --healthz-port or --healthz-ip, or stop the program that uses this one';

async function lookAgainAndAgain(connections: HttpConnections, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await systemClock.sleep(LIMITS.httpLookMs, signal).catch(() => undefined);
    connections.look();
  }
}

async function answerTo(
  routes: ReadonlyMap<string, Routes[string]>,
  method: string | undefined,
  url: string | undefined,
): Promise<HttpAnswer> {
  const [path = ''] = (url ?? '').split('?', 1);
  const route = routes.get(path) ?? routes.get(path.slice(0, path.lastIndexOf('/') + 1));
  if (route === undefined) return { status: 404, body: 'not found\n' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET and HEAD\n' };
  try {
    return await route(new URL(url ?? '', 'http://twill'));
  } catch (error) {
    return { status: 500, body: `${messageOf(error)}\n` };
  }
}

function formatEndpoint(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

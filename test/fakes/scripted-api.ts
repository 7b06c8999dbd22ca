// A server on the loopback address that a test lets behave as it likes, well or badly, and that counts.
import {
  createServer as createPlain,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecure, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** A request as the test sees it. */
export interface ApiCall {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The number of its connection, from 1. */
  readonly connection: number;
}

export type Respond = (call: ApiCall, response: ServerResponse) => void;

export interface ScriptedApi extends AsyncDisposable {
  readonly url: string;
  /** All requests so far. */
  readonly calls: readonly ApiCall[];
  /** Replaces the behaviour. */
  respond: Respond;
  /** Another certificate for connections from now on. */
  setCertificate(options: Pick<ServerOptions, 'key' | 'cert'>): void;
  /** Closes all connections. */
  disconnect(): void;
}

/** Starts a server: with TLS by `tls`, or without. */
export async function startScriptedApi(respond: Respond, tls?: ServerOptions): Promise<ScriptedApi> {
  const calls: ApiCall[] = [];
  const connections = new Map<Socket, number>();
  let count = 0;
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', 'http://server');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const call = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
        connection: connections.get(request.socket) ?? 0,
      };
      calls.push(call);
      api.respond(call, response);
    });
  };
  const server = tls === undefined ? createPlain(take) : createSecure(tls, take);
  const sockets = new Set<Socket>();
  server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    count += 1;
    connections.set(socket, count);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const disconnect = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const api: ScriptedApi = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    calls,
    respond,
    setCertificate(options) {
      if ('setSecureContext' in server) server.setSecureContext(options);
    },
    disconnect,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      disconnect();
      await closed;
    },
  };
  return api;
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

/** Answers with a Status, as the API does for a failure. */
export function sendStatus(
  response: ServerResponse,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendJson(response, statusObject(code, message), code, headers);
}

export function statusObject(code: number, message: string): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code };
}

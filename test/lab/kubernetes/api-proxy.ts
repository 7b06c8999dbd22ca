// What stands between the nodes and an API server: a proxy with TLS, in this process. A test has it count requests,
// answer some of them itself, send them to another server, show another certificate, and cut connections.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { Socket } from 'node:net';
import { monotonicMs } from '../process.ts';

export interface ProxiedCall {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** On the machine's monotonic clock. */
  readonly atMs: number;
}

/** An answer in place of the server's. `ends`: false leaves it open. */
export interface ProxyFault {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly ends?: boolean;
}

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface ApiProxy extends AsyncDisposable {
  readonly url: string;
  /** All requests so far. */
  readonly calls: ProxiedCall[];
  /** The server that gets the next requests: its URL. */
  target: string;
  /** Undefined: the request goes to the server. */
  fault: ((call: ProxiedCall) => ProxyFault | undefined) | undefined;
  /** Shows this certificate to new connections. */
  use(certificate: Certificate): void;
  /** Cuts all connections. */
  cut(): void;
}

export interface ApiProxyOptions {
  readonly address: string;
  readonly port: number;
  readonly target: string;
  readonly certificate: Certificate;
}

/** Starts a proxy. It passes on whatever the server answers, and checks no certificate of it. */
export async function startApiProxy({
  address,
  port,
  target,
  certificate,
}: ApiProxyOptions): Promise<ApiProxy> {
  const sockets = new Set<Socket>();
  const server = createServer({ ...certificate }, (from, to) => {
    const call = { method: from.method ?? '', path: from.url ?? '', atMs: monotonicMs() };
    proxy.calls.push(call);
    const fault = proxy.fault?.(call);
    if (fault === undefined) passOn(proxy.target, from, to);
    else {
      from.resume();
      to.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
      to.write(fault.body ?? '');
      if (fault.ends !== false) to.end();
    }
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  // A client that does not trust the certificate ends the handshake.
  server.on('tlsClientError', () => undefined);
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const proxy: ApiProxy = {
    url: `https://${address}:${port}`,
    calls: [],
    target,
    fault: undefined,
    use: (next) => server.setSecureContext({ ...next }),
    cut,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  return proxy;
}

function passOn(target: string, from: IncomingMessage, to: ServerResponse): void {
  const { host: _, ...headers } = from.headers;
  const options = { method: from.method, headers, rejectUnauthorized: false, agent: false };
  const sent = request(target + (from.url ?? ''), options, (answer) => {
    to.writeHead(answer.statusCode ?? 502, answer.headers);
    to.flushHeaders();
    answer.pipe(to);
    answer.on('error', () => to.destroy());
    answer.on('close', () => to.end());
  });
  sent.on('error', () => to.destroy());
  to.on('close', () => sent.destroy());
  from.pipe(sent);
}

// A TCP proxy between a client and a server on the loopback address, which can be cut and can swallow everything.
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** How many connections were made so far. */
  readonly connections: number;
  /** Closes all connections and refuses new ones until `mend`. */
  cut(): Promise<void>;
  /** Keeps connections open, and takes new ones, but passes nothing on until `mend`. */
  swallow(): void;
  /** Passes on requests, but no answers. */
  swallowAnswers(): void;
  mend(): Promise<void>;
}

/** Starts a proxy to a port. With several ports each connection leads to the next one, as a balancer of TCP does it. */
export async function startProxy(...targets: readonly [number, ...number[]]): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  let connections = 0;
  let swallows: 'nothing' | 'answers' | 'everything' = 'nothing';

  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const accept = (client: Socket): void => {
    const upstream = connect(targets[connections % targets.length] ?? targets[0], '127.0.0.1');
    connections += 1;
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      keep(from);
      from.on('data', (data) => {
        const passes = swallows === 'nothing' || (swallows === 'answers' && from === client);
        if (passes) to.write(data);
      });
      from.on('close', () => to.destroy());
    }
  };
  async function cut(): Promise<void> {
    for (const socket of sockets) socket.destroy();
    const closing = server;
    server = undefined;
    if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
  }
  async function mend(): Promise<void> {
    swallows = 'nothing';
    if (server !== undefined) return;
    const opened = createServer(accept);
    server = opened;
    await new Promise<void>((resolve, reject) => {
      opened.once('error', reject);
      opened.listen(port, '127.0.0.1', resolve);
    });
    const address = opened.address();
    if (address !== null && typeof address !== 'string') port = address.port;
  }

  await mend();
  return {
    get port() {
      return port;
    },
    get connections() {
      return connections;
    },
    cut,
    swallow: () => {
      swallows = 'everything';
    },
    swallowAnswers: () => {
      swallows = 'answers';
    },
    mend,
    [Symbol.asyncDispose]: cut,
  };
}

import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { CLOSED_AT_ONCE, createGrpcClient, type GrpcClient } from '../../../agent/datastore/grpc.ts';

const NO_FILES = { ca: undefined, cert: undefined, key: undefined };
const frame = (text: string): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
};

/** The messages of a call, and its end. */
interface Outcome {
  readonly messages: readonly string[];
  readonly error: Error | undefined;
}

describe('a call', () => {
  let server: Http2Server | Server | undefined;
  let client: GrpcClient | undefined;
  const sessions = new Set<{ destroy(): void }>();
  afterEach(() => {
    client?.close();
    for (const session of sessions) session.destroy();
    sessions.clear();
    server?.close();
  });

  async function connect(listening: Http2Server | Server): Promise<GrpcClient> {
    server = listening;
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    const url = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
    client = createGrpcClient(url, NO_FILES, () => 0);
    return client;
  }
  function serve(answer: (stream: ServerHttp2Stream) => void): Promise<GrpcClient> {
    const http2 = createServer();
    http2.on('session', (session) => sessions.add(session));
    http2.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.resume();
      answer(stream);
    });
    return connect(http2);
  }
  function call(at: GrpcClient): Promise<Outcome> {
    return new Promise((resolve) => {
      const messages: string[] = [];
      const started = at.start(
        '/a.B/C',
        {},
        {
          onMessage: (message) => messages.push(message.toString()),
          onEnd: (error) => resolve({ messages, error }),
        },
      );
      started.send(Buffer.from('question'));
      started.finish();
    });
  }
  const trailing = (
    stream: ServerHttp2Stream,
    trailers: Record<string, string>,
    ...parts: Buffer[]
  ): void => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    for (const part of parts) stream.write(part);
    stream.end();
  };

  it('a gRPC call gives the messages for any cuts between their bytes', async () => {
    const bytes = Buffer.concat([frame('first'), frame(''), frame('third')]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const at = await serve((stream) =>
        trailing(stream, { 'grpc-status': '0' }, bytes.subarray(0, cut), bytes.subarray(cut)),
      );
      expect(await call(at)).toEqual({ messages: ['first', '', 'third'], error: undefined });
      at.close();
      server?.close();
    }
  });

  it('a gRPC call sends its message in a frame', async () => {
    let heard = Buffer.alloc(0);
    const at = await serve((stream) => {
      stream.on('data', (part: Buffer) => {
        heard = Buffer.concat([heard, part]);
      });
      stream.on('end', () => trailing(stream, { 'grpc-status': '0' }));
    });
    await call(at);
    expect(heard).toEqual(frame('question'));
  });

  it('a gRPC call fails with the status that follows the messages', async () => {
    const at = await serve((stream) =>
      trailing(stream, { 'grpc-status': '7', 'grpc-message': 'not%20you' }, frame('first')),
    );
    const { messages, error } = await call(at);
    expect(messages).toEqual(['first']);
    expect(error).toMatchObject({ code: 7, message: 'not you' });
  });

  it('a gRPC call fails with the status that comes in place of an answer', async () => {
    const at = await serve((stream) =>
      stream.respond({ ':status': 200, 'grpc-status': '5', 'grpc-message': '100%' }, { endStream: true }),
    );
    expect((await call(at)).error).toMatchObject({ code: 5, message: '100%' });
  });

  it('a gRPC call fails where the server speaks HTTP, but not gRPC', async () => {
    const at = await serve((stream) => {
      stream.respond({ ':status': 404 });
      stream.end('no such page');
    });
    expect((await call(at)).error).toMatchObject({ message: 'it answered with the HTTP status 404' });
  });

  it('a gRPC call fails where a message is compressed or is larger than any answer may be', async () => {
    for (const head of [Buffer.of(1, 0, 0, 0, 0), Buffer.of(0, 0xff, 0xff, 0xff, 0xff)]) {
      const at = await serve((stream) => {
        stream.respond({ ':status': 200 });
        stream.write(head);
      });
      expect((await call(at)).error?.message).toMatch(/compressed message|message of 4294967295 bytes/);
      at.close();
      server?.close();
    }
  });

  it('a gRPC call fails when the connection ends before the status', async () => {
    const at = await serve((stream) => {
      stream.respond({ ':status': 200 });
      stream.write(frame('first'), () => stream.session?.destroy());
    });
    const { error } = await call(at);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toHaveProperty('code', 0);
  });

  it('a gRPC call fails at once where the server hangs up, and the next call opens a new connection', async () => {
    let connections = 0;
    const at = await connect(
      createTcpServer((socket) => {
        connections += 1;
        socket.on('error', () => undefined);
        socket.end();
      }),
    );
    expect((await call(at)).error?.message).toBe(CLOSED_AT_ONCE);
    expect((await call(at)).error?.message).toBe(CLOSED_AT_ONCE);
    expect(connections).toBe(2);
  });

  it('a gRPC call fails with the reason at a closed port', async () => {
    const at = await connect(createTcpServer());
    const { port } = (server as Server).address() as AddressInfo;
    server?.close();
    expect((await call(at)).error?.message).toBe(`connect ECONNREFUSED 127.0.0.1:${port}`);
  });

  it('a cancelled gRPC call delivers nothing more', async () => {
    let aborted: Promise<unknown> | undefined;
    const at = await serve((stream) => {
      aborted = once(stream, 'close');
      stream.respond({ ':status': 200 });
      stream.write(frame('first'));
    });
    const heard: unknown[] = [];
    await new Promise<void>((resolve) => {
      const started = at.start(
        '/a.B/C',
        {},
        {
          onMessage(message) {
            heard.push(message.toString());
            started.cancel();
            resolve();
          },
          onEnd: (error) => heard.push(error),
        },
      );
    });
    await aborted;
    expect(heard).toEqual(['first']);
  });

  // The network may come back after the caller has given up: the connection is then established all the same.
  it('a gRPC call may be cancelled before its connection is established', async () => {
    const at = await serve((stream) => trailing(stream, { 'grpc-status': '0' }, frame('answer')));
    const thrown: unknown[] = [];
    const note = (error: unknown): number => thrown.push(error);
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException').on('uncaughtException', note);
    try {
      at.start('/a.B/C', {}, { onMessage: () => undefined, onEnd: () => undefined }).cancel();
      expect((await call(at)).messages).toEqual(['answer']);
    } finally {
      process.off('uncaughtException', note);
      for (const other of others) process.on('uncaughtException', other);
    }
    expect(thrown).toEqual([]);
  });

  it('gRPC calls share a connection until a reconnect', async () => {
    const at = await serve((stream) => trailing(stream, { 'grpc-status': '0' }, frame('answer')));
    await Promise.all([call(at), call(at)]);
    await call(at);
    expect(sessions.size).toBe(1);
    at.reconnect();
    expect((await call(at)).messages).toEqual(['answer']);
    expect(sessions.size).toBe(2);
  });
});

// Clients that hold connections, send odd bytes, or read nothing. A probe is answered all the same.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Random } from '../../../agent/base/random.ts';
import { type HttpServer, startHttpServer } from '../../../agent/observe/http-server.ts';
import { LIMITS } from '../../../agent/observe/limits.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';

const REQUEST = 'GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n';
const UNFINISHED = [
  '',
  'GET /healthz HTTP/1.1\r\nX: ',
  'POST /healthz HTTP/1.1\r\nContent-Length: 9\r\n\r\nx',
];
/** More than the buffers of a connection hold. */
const LARGE = 'x'.repeat(4 * 1024 * 1024);

let calls = 0;

async function start(): Promise<HttpServer> {
  calls = 0;
  const server = await startHttpServer({
    ip: '',
    port: 0,
    routes: {
      '/healthz': () => {
        calls++;
        return { status: 200, body: 'ok\n' };
      },
      '/large': () => ({ status: 200, body: LARGE }),
    },
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

interface Client {
  readonly socket: Socket;
  /** All that the server sent, once the connection is closed. */
  readonly answer: Promise<string>;
  readonly isClosed: () => boolean;
}

/** A connection that sends `text` and leaves its side open. */
async function dial(port: number, text: string): Promise<Client> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let received = '';
  let closed = false;
  socket.on('data', (chunk) => {
    received += String(chunk);
  });
  socket.on('error', () => undefined);
  const answer = new Promise<string>((resolve) =>
    socket.on('close', () => {
      closed = true;
      resolve(received);
    }),
  );
  await once(socket, 'connect');
  if (text !== '') socket.write(text);
  return { socket, answer, isClosed: () => closed };
}

const probe = async (port: number): Promise<string> => (await dial(port, REQUEST)).answer;

describe('the health server under a flood', () => {
  it('a probe is answered at once beside 600 connections that send no whole request', async () => {
    const { port } = await start();
    const held: Client[] = [];
    for (let i = 0; i < 600; i++) held.push(await dial(port, UNFINISHED[i % UNFINISHED.length] ?? ''));
    expect(await probe(port)).toMatch(/^HTTP\/1.1 200 /);
    expect(held.filter(({ isClosed }) => !isClosed()).length).toBeLessThanOrEqual(LIMITS.httpConnections);
  });

  it('connections that send no whole request or read no answer are closed', async () => {
    const { port } = await start();
    const slow = await dial(port, 'GET /large HTTP/1.1\r\nHost: h\r\n\r\n');
    slow.socket.pause();
    const dripping = await dial(port, 'GET /healthz HTTP/1.1\r\nX: ');
    const drip = setInterval(() => dripping.socket.write('x'), 100);
    onTestFinished(() => clearInterval(drip));
    const idle = await Promise.all(UNFINISHED.map((text) => dial(port, text)));
    for (const { answer } of [...idle, dripping]) await answer;
    slow.socket.resume();
    await slow.answer;
    expect(slow.socket.bytesRead).toBeLessThan(LARGE.length);
  });

  it('of many requests on one connection the first one is answered', async () => {
    const { port } = await start();
    const { answer } = await dial(port, REQUEST.repeat(3_000));
    expect((await answer).match(/HTTP\/1.1 200 /g)).toHaveLength(1);
    expect(calls).toBe(1);
  });

  it('a client that closes its side after the request gets the answer', async () => {
    const { port } = await start();
    const client = await dial(port, '');
    client.socket.end(REQUEST);
    expect(await client.answer).toMatch(/^HTTP\/1.1 200 [^]*\r\n\r\nok\n$/);
  });

  it('random requests neither end the server nor stay open', async () => {
    const { port } = await start();
    const random = seededRandom(7);
    const held: Client[] = [];
    for (let i = 0; i < 300; i++) held.push(await dial(port, randomRequest(random)));
    expect(await probe(port)).toMatch(/^HTTP\/1.1 200 /);
    for (const { answer } of held)
      expect(await answer).toMatch(/^(?:HTTP\/1.1 (?:100|200|4\d\d|503) [^]*)?$/);
  });
});

const METHODS = ['GET', 'HEAD', 'POST', 'CONNECT', 'OPTIONS', 'PRI', 'G\u0000T', ''];
const PATHS = [
  '/healthz',
  '/large',
  '*',
  '//',
  '/%00',
  'http://a/healthz',
  '/\u001b[2J',
  `/${'a'.repeat(9_000)}`,
];
const VERSIONS = ['HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTP', ''];
const HEADERS = [
  'Host: h',
  'Connection: keep-alive',
  'Connection: Upgrade\r\nUpgrade: h2c',
  'Expect: 100-continue',
  'Content-Length: 5',
  'Content-Length: -1',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked\r\nContent-Length: 3',
  ' folded',
  'X\u0000: y',
  `X: ${'y'.repeat(5_000)}`,
];
const BODIES = ['', 'hello', '5\r\nhello\r\n0\r\n\r\n', 'fffffffff\r\n', REQUEST];

// A request of well and badly formed parts, cut somewhere in one of four cases.
function randomRequest(random: Random): string {
  const any = (items: readonly string[]): string => items[Math.floor(random() * items.length)] ?? '';
  const headers = Array.from({ length: Math.floor(random() * 4) }, () => `${any(HEADERS)}\r\n`).join('');
  const text = `${any(METHODS)} ${any(PATHS)} ${any(VERSIONS)}\r\n${headers}\r\n${any(BODIES)}`;
  return random() < 0.25 ? text.slice(0, Math.floor(random() * text.length)) : text;
}

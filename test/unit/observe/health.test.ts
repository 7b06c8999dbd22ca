import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../agent/model/condition.ts';
import { startHealthServer } from '../../../agent/observe/health.ts';
import type { HttpServer } from '../../../agent/observe/http-server.ts';

let hanging: string | undefined;
let conditions: readonly Condition[] = [];

const start = (ip = '127.0.0.1'): Promise<HttpServer> =>
  startHealthServer({ ip, port: 0, hangs: () => hanging, conditions: () => conditions, metrics: () => [] });

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

async function ask(port: number, path: string, method = 'GET', host = '127.0.0.1'): Promise<Answer> {
  const call = request({ host, port, path, method, agent: false });
  call.end();
  const [response] = await once(call, 'response');
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode, body };
}

describe('the health server', () => {
  it.each([
    { path: '/healthz', method: 'GET', status: 200, body: 'ok\n' },
    { path: '/healthz', method: 'HEAD', status: 200, body: '' },
    { path: '/readyz?verbose', method: 'GET', status: 200, body: 'ready\n' },
    { path: '/healthz', method: 'POST', status: 405, body: 'only GET and HEAD\n' },
    { path: '/healthz/', method: 'GET', status: 404, body: 'not found\n' },
    { path: '/', method: 'DELETE', status: 404, body: 'not found\n' },
    { path: '/constructor', method: 'GET', status: 404, body: 'not found\n' },
  ])('the health server answers $method $path with $status', async ({ path, method, status, body }) => {
    await using server = await start();
    expect(await ask(server.port, path, method)).toEqual({ status, body });
  });

  it('the health server answers 503 with the reason in one line, and follows the state', async () => {
    await using server = await start();
    conditions = [{ part: 'firewall', state: 'failing', reason: 'firewall:\nnft failed' }];
    expect(await ask(server.port, '/readyz')).toEqual({ status: 503, body: 'firewall: nft failed\n' });
    expect(await ask(server.port, '/healthz')).toEqual({ status: 200, body: 'ok\n' });
    conditions = [];
    expect((await ask(server.port, '/readyz')).status).toBe(200);
    hanging = 'reading the kernel: not done after 61 s';
    expect(await ask(server.port, '/healthz')).toEqual({ status: 503, body: `${hanging}\n` });
    hanging = undefined;
  });

  it('the health server listens at IPv6 too', async () => {
    await using server = await start('::1');
    expect((await ask(server.port, '/healthz', 'GET', '::1')).status).toBe(200);
  });

  it('the health server listens at a name, and at all addresses', async () => {
    await using byName = await start('localhost');
    expect((await ask(byName.port, '/healthz')).status).toBe(200);
    await using everywhere = await start('');
    expect((await ask(everywhere.port, '/healthz')).status).toBe(200);
    expect((await ask(everywhere.port, '/healthz', 'GET', '::1')).status).toBe(200);
  });

  it('the health server names a host that does not exist', async () => {
    await expect(start('no-such-host.invalid')).rejects.toMatchObject({
      code: 'host',
      message: expect.stringMatching(/^cannot listen at no-such-host\.invalid:0: /),
    });
  });

  it('the health server refuses large headers', async () => {
    await using server = await start();
    const socket = connect(server.port, '127.0.0.1');
    socket.write(`GET /healthz HTTP/1.1\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 431 /);
    socket.destroy();
  });

  it('the health server closes at once although a client holds a connection', async () => {
    const server = await start();
    const socket = connect(server.port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('GET /healthz HTTP/1.1\r\n');
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await server[Symbol.asyncDispose]();
    await closed;
    await expect(ask(server.port, '/healthz')).rejects.toThrow(/ECONNREFUSED/);
  });

  it('the health server names an address that is not available', async () => {
    await using server = await start();
    const { port } = server;
    const options = { port, hangs: () => undefined, metrics: () => [], conditions: () => [] };
    await expect(startHealthServer({ ...options, ip: '127.0.0.1' })).rejects.toMatchObject({
      code: 'host',
      errno: 'EADDRINUSE',
      message: expect.stringContaining(`cannot listen at 127.0.0.1:${port}: `),
      hint: expect.stringContaining('--healthz-port'),
    });
    await expect(startHealthServer({ ...options, ip: '192.0.2.7' })).rejects.toMatchObject({
      code: 'host',
      errno: 'EADDRNOTAVAIL',
    });
  });
});

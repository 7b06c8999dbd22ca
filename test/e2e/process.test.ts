// How the process handles signals and closed pipes, under any command.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TWILL } from '../lab/paths.ts';

function start(args: readonly string[]): ChildProcessWithoutNullStreams {
  const [node, main] = TWILL;
  return spawn(node, [main, ...args]);
}

describe('the process', () => {
  // A datastore that accepts connections and never answers, so that a command waits for it.
  let silent: Server;
  const sockets = new Set<Socket>();

  beforeAll(async () => {
    silent = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
  });
  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('the process ends on %s without output, with exit code %i', async (signal, exitCode) => {
    const { port } = silent.address() as AddressInfo;
    const child = start(['network', 'get', `--etcd-endpoints=http://127.0.0.1:${port}`]);
    try {
      const said = text(child.stderr);
      await once(silent, 'connection');
      child.kill(signal);
      const [code] = (await once(child, 'exit')) as [number | null];
      expect({ code, said: await said }).toEqual({ code: exitCode, said: '' });
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('the process succeeds if the reader of its output has gone', async () => {
    const child = start(['help', 'run']);
    child.stdout.destroy();
    const said = text(child.stderr);
    const [code] = (await once(child, 'exit')) as [number | null];
    expect({ code, said: await said }).toEqual({ code: 0, said: '' });
  });

  it('the process prints the version of its package', async () => {
    const child = start(['--version']);
    expect(await text(child.stdout)).toMatch(/^twill \d+\.\d+\.\d+\n$/);
  });
});

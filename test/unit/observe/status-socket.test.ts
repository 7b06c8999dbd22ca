// The unix socket of the status: who may connect, and who may listen there.
import { once } from 'node:events';
import { chmod, lstat, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../../agent/base/exec.ts';
import { askAgent } from '../../../agent/observe/status-client.ts';
import { openStatusSocket } from '../../../agent/observe/status-socket.ts';

let folder = '';
let path = '';
const ROUTES = { '/v1/status': () => ({ status: 200, body: '{}' }) };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twill-status-'));
  path = join(folder, 'twill.sock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('the status socket', () => {
  it('the socket is for its owner alone whatever the umask is, answers, and is gone at the end', async () => {
    const before = process.umask(0);
    try {
      await using _socket = await openStatusSocket(path, ROUTES);
      expect([(await lstat(path)).mode & 0o777, process.umask()]).toEqual([0o600, 0]);
      expect(await askAgent(path, '/v1/status')).toEqual({ status: 200, body: '{}' });
      expect((await askAgent(path, '/v2'))?.status).toBe(404);
    } finally {
      process.umask(before);
    }
    await expect(lstat(path)).rejects.toThrow('ENOENT');
    expect(await askAgent(path, '/v1/status')).toBeUndefined();
  });

  it('a socket that a killed process left behind is replaced', async () => {
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
    await exec(process.execPath, ['-e', script], { timeoutMs: 10_000 }).catch(() => undefined);
    expect((await lstat(path)).isSocket()).toBe(true);
    await using _socket = await openStatusSocket(path, ROUTES);
    expect((await askAgent(path, '/v1/status'))?.status).toBe(200);
  });

  it('a second agent is refused, and the first one goes on', async () => {
    await using _socket = await openStatusSocket(path, ROUTES);
    await expect(openStatusSocket(path, ROUTES)).rejects.toMatchObject({
      code: 'conflict',
      message: `another agent runs on this host: it listens at ${path}`,
    });
    expect((await askAgent(path, '/v1/status'))?.status).toBe(200);
  });

  it('a program that listens and says nonsense counts as another agent', async () => {
    const other = createServer((socket) => socket.end('nonsense')).listen(path);
    await once(other, 'listening');
    await expect(openStatusSocket(path, ROUTES)).rejects.toMatchObject({ code: 'conflict' });
    other.close();
  });

  it('a file of another kind stays', async () => {
    await writeFile(path, 'mine');
    await expect(openStatusSocket(path, ROUTES)).rejects.toThrow(`cannot listen at ${path}: it is no socket`);
  });

  it('a path that is too long is refused by the flag in one line', async () => {
    const { statusPlace } = await import('../../../agent/options/status-flags.ts');
    const long = `/${'x'.repeat(107)}`;
    expect(() => statusPlace(long, '/run/flannel/subnet.env', '--status-socket')).toThrow(
      '--status-socket: must be off, or a path of 107 bytes at most, has 108: "/xxx',
    );
    expect(statusPlace(long.slice(1), '', '--status-socket')).toBe(long.slice(1));
    expect(statusPlace('', '/run/a/subnet.env', '--status-socket')).toBe('/run/a/twill.sock');
    expect(statusPlace('off', '/run/a/subnet.env', '--status-socket')).toBeUndefined();
  });

  it.skipIf(process.getuid?.() !== 0)('another user cannot connect', async () => {
    await using _socket = await openStatusSocket(path, ROUTES);
    await chmod(folder, 0o755);
    const script = `require('net').connect(${JSON.stringify(path)}).on('error', (e) => console.log(e.code)).on('connect', () => { console.log('connected'); process.exit() })`;
    const { stdout } = await exec(
      'setpriv',
      ['--reuid=65534', '--clear-groups', process.execPath, '-e', script],
      {
        timeoutMs: 10_000,
      },
    );
    expect(stdout.trim()).toBe('EACCES');
  });
});

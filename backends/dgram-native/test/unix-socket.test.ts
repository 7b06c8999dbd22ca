// Datagrams to a socket of Python: Node has none of this kind.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { SystemError, sendUnixDatagram } from '../src/index.ts';

// Binds to an address and prints the length of each datagram and its first bytes, when it is told to by a line.
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\\0"))
print("listening", flush=True)
for line in sys.stdin:
    data = s.recv(65536)
    print(len(data), data[:7].decode(), flush=True)
`;

const hasPython = existsSync('/usr/bin/python3');

describe.skipIf(!hasPython)('datagrams to a Unix socket', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dgram-unix-'));
  const ends: (() => void)[] = [];
  afterEach(() => {
    for (const end of ends.splice(0)) end();
    rmSync(folder, { recursive: true, force: true });
  });

  async function listen(address: string): Promise<() => Promise<string>> {
    const child = spawn('python3', ['-c', LISTENER, address], { stdio: ['pipe', 'pipe', 'inherit'] });
    ends.push(() => child.kill('SIGKILL'));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => (await lines.next()).value ?? 'the listener has ended';
    expect(await next()).toBe('listening');
    return () => {
      child.stdin.write('\n');
      return next();
    };
  }

  it.each(['path', 'abstract name'])('a datagram arrives at a %s as it was sent', async (kind) => {
    const address = kind === 'path' ? join(folder, 'socket') : `@dgram-native-${process.pid}`;
    const receive = await listen(address);
    sendUnixDatagram(address, Buffer.from('READY=1\nSTATUS=grün'));
    expect(await receive()).toBe('20 READY=1');
    sendUnixDatagram(address, new Uint8Array(20_000).fill(0x61));
    expect(await receive()).toBe('20000 aaaaaaa');
  });

  it('a full receiver refuses at once, and takes more as soon as it has read', async () => {
    const address = `@dgram-native-full-${process.pid}`;
    const receive = await listen(address);
    const fill = (): unknown => {
      for (let sent = 0; sent < 10_000; sent += 1) {
        try {
          sendUnixDatagram(address, new Uint8Array(1_000).fill(0x62));
        } catch (error) {
          return error;
        }
      }
      return undefined;
    };
    expect(fill()).toMatchObject({ name: 'SystemError', code: 'EAGAIN' });
    await receive();
    sendUnixDatagram(address, new Uint8Array(1));
  });
});

describe('an address of a Unix socket', () => {
  it('a socket that is not there is ENOENT for a path and ECONNREFUSED for a name', () => {
    expect(() => sendUnixDatagram('/nowhere/socket', new Uint8Array(1))).toThrow(SystemError);
    expect(() => sendUnixDatagram('/nowhere/socket', new Uint8Array(1))).toThrow('ENOENT');
    expect(() => sendUnixDatagram('@dgram-native-nobody', new Uint8Array(1))).toThrow('ECONNREFUSED');
  });

  it.each([
    '',
    '@',
    '/',
    'relative',
    'vsock:2:1',
    '/with\0zero',
    `/${'x'.repeat(107)}`,
    `@${'é'.repeat(54)}`,
  ])('the text "%s" is refused', (address) => {
    expect(() => sendUnixDatagram(address, new Uint8Array(1))).toThrow(RangeError);
  });

  it('the longest path and the longest name reach the kernel', () => {
    expect(() => sendUnixDatagram(`/${'x'.repeat(106)}`, new Uint8Array(1))).toThrow('ENOENT');
    expect(() => sendUnixDatagram(`@${'x'.repeat(107)}`, new Uint8Array(1))).toThrow('ECONNREFUSED');
  });
});

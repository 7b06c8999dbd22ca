// Machines that the package does not run on, and the names of errors.
import { afterEach, describe, expect, it, vi } from 'vitest';
import { errnoName, SystemError } from '../src/index.ts';

describe('a machine that cannot run the package', () => {
  afterEach(() => {
    vi.doUnmock('node:os');
    vi.resetModules();
  });

  it.each([
    [{ platform: () => 'darwin' }, 'needs Linux; this is darwin'],
    [{ endianness: () => 'BE' }, 'needs a little-endian processor'],
    [{ arch: () => 'arm' }, 'needs a processor of x64, arm64, riscv64, loong64; this is arm'],
  ])(
    'an unsupported machine loads the package, and gets the reason on first use: $1',
    async (machine, message) => {
      vi.resetModules();
      vi.doMock('node:os', async (original) => ({ ...(await original<object>()), ...machine }));
      const { createArena, createWakeup, openUdpSocket, UnsupportedError } = await import('../src/index.ts');
      for (const use of [
        () => createArena(1),
        createWakeup,
        () => openUdpSocket({ address: '::', port: 0 }),
      ]) {
        expect(use).toThrow(UnsupportedError);
        expect(use).toThrow(message);
      }
    },
  );
});

describe('an errno', () => {
  it.each([
    [11, 'EAGAIN'],
    [22, 'EINVAL'],
    [90, 'EMSGSIZE'],
    [101, 'ENETUNREACH'],
    [77, 'EBADFD'],
    [9999, 'E9999'],
  ])('an errno %i is called %s', (errno, name) => {
    expect(errnoName(errno)).toBe(name);
  });

  it('an errno is reported with the system call and the attempt', () => {
    const error = new SystemError('bind', 98, 'cannot open UDP port 8285');
    expect(error).toMatchObject({
      name: 'SystemError',
      message: 'cannot open UDP port 8285: bind: EADDRINUSE',
      syscall: 'bind',
      code: 'EADDRINUSE',
      errno: 98,
    });
  });
});

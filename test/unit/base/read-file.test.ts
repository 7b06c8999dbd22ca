import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../../agent/base/exec.ts';
import { readFileStart, readWholeFile } from '../../../agent/base/read-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twill-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('readFileStart', () => {
  it.each([
    ['shorter than the limit', 'ab', 'ab', false],
    ['as long as the limit', 'abc', 'abc', false],
    ['longer than the limit', 'abcd', 'abc', true],
    ['empty', '', '', false],
  ])('readFileStart reads a file that is %s', async (_, content, text, isPart) => {
    const path = join(folder, 'f');
    await writeFile(path, content, { mode: 0o600 });
    const start = await readFileStart(path, { maxBytes: 3 });
    expect({ text: start.bytes.toString(), isPart: start.isPart }).toEqual({ text, isPart });
    expect(start.stats.mode & 0o7777).toBe(0o600);
  });

  it('readFileStart reads a file of many chunks, and one of /proc, whose size is 0', async () => {
    const path = join(folder, 'f');
    const content = 'abcdefg'.repeat(100_000);
    await writeFile(path, content);
    expect((await readFileStart(path, { maxBytes: 1_000_000 })).bytes.toString()).toBe(content);
    expect((await readFileStart('/proc/self/comm', { maxBytes: 100 })).bytes.length).toBeGreaterThan(0);
  });

  it('readFileStart neither waits for the writer of a pipe nor reads a device', async () => {
    const pipe = join(folder, 'pipe');
    await exec('mkfifo', [pipe]);
    for (const path of [pipe, '/dev/zero', folder]) {
      await expect(readFileStart(path, { maxBytes: 10 })).rejects.toThrow('it is no regular file');
    }
  });

  it('readFileStart fails at a socket', async () => {
    const path = join(folder, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      await expect(readFileStart(path, { maxBytes: 10 })).rejects.toMatchObject({ code: 'ENXIO' });
    } finally {
      server.close();
    }
  });

  it('readFileStart follows a symbolic link only where that is allowed', async () => {
    const path = join(folder, 'link');
    await writeFile(join(folder, 'f'), 'text');
    await symlink(join(folder, 'f'), path);
    expect((await readFileStart(path, { maxBytes: 10 })).bytes.toString()).toBe('text');
    await expect(readFileStart(path, { maxBytes: 10, followLink: false })).rejects.toThrow(
      'it is a symbolic link',
    );
  });

  it('readFileStart gives the error of the system for a missing file', async () => {
    await expect(readFileStart(join(folder, 'f'), { maxBytes: 10 })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});

describe('readWholeFile', () => {
  it('readWholeFile fails where the file is longer than the limit', async () => {
    const path = join(folder, 'f');
    await writeFile(path, 'abcd');
    expect((await readWholeFile(path, { maxBytes: 4 })).toString()).toBe('abcd');
    await expect(readWholeFile(path, { maxBytes: 3 })).rejects.toThrow('it is longer than 3 bytes');
  });
});

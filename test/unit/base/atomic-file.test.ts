import { watch } from 'node:fs';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assertWritable, writeFileAtomic } from '../../../agent/base/atomic-file.ts';
import { exec } from '../../../agent/base/exec.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twill-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;
const inFolder = (name: string): string => join(folder, name);

describe('writeFileAtomic', () => {
  it('writeFileAtomic makes the file and its folders, and gives the file exactly the mode under any umask', async () => {
    const path = join(folder, 'a/b/subnet.env');
    const before = process.umask(0o077);
    try {
      await writeFileAtomic(path, 'FLANNEL_MTU=1450\n', 0o644);
    } finally {
      process.umask(before);
    }
    expect(await readFile(path, 'utf8')).toBe('FLANNEL_MTU=1450\n');
    expect(await modeOf(path)).toBe(0o644);
    expect(await readdir(join(folder, 'a/b'))).toEqual(['subnet.env']);
  });

  it('writeFileAtomic replaces the file by a new one, so that a reader of the old one reads all of it', async () => {
    const path = join(folder, 'f');
    await writeFile(path, 'old', { mode: 0o600 });
    const before = await stat(path);
    await writeFileAtomic(path, 'new', 0o644);
    const after = await stat(path);
    expect(await readFile(path, 'utf8')).toBe('new');
    expect(await modeOf(path)).toBe(0o644);
    expect(after.ino).not.toBe(before.ino);
  });

  it('writeFileAtomic replaces a symbolic link and not its target', async () => {
    const [path, target] = [join(folder, 'f'), join(folder, 'target')];
    await writeFile(target, 'somebody’s');
    await symlink(target, path);
    await writeFileAtomic(path, 'ours', 0o644);
    expect(await readFile(target, 'utf8')).toBe('somebody’s');
    expect(await readFile(path, 'utf8')).toBe('ours');
  });

  it('writeFileAtomic replaces a pipe without waiting for its reader', async () => {
    const path = join(folder, 'f');
    await exec('mkfifo', [path]);
    await writeFileAtomic(path, 'ours', 0o644);
    expect(await readFile(path, 'utf8')).toBe('ours');
  });

  it('writeFileAtomic writes to a new file of another name each time', async () => {
    const names = new Set<string | null>();
    const watcher = watch(folder, (_, name) => names.add(name));
    try {
      for (const text of ['a', 'b']) await writeFileAtomic(inFolder('f'), text, 0o600);
      await expect.poll(() => names.size).toBe(3);
    } finally {
      watcher.close();
    }
    names.delete('f');
    for (const name of names) expect(name).toMatch(/^\.f\.[0-9a-f]{16}\.tmp$/);
  });

  it('writeFileAtomic does not write through a link at a name that others can guess', async () => {
    await writeFile(inFolder('target'), 'somebody’s');
    await symlink(inFolder('target'), inFolder(`.f.${process.pid}.tmp`));
    await writeFileAtomic(inFolder('f'), 'ours', 0o644);
    expect(await readFile(inFolder('target'), 'utf8')).toBe('somebody’s');
  });

  it('writeFileAtomic gives the folders that it makes mode 0755 under any umask, and leaves others', async () => {
    await mkdir(join(folder, 'a'), { mode: 0o700 });
    const before = process.umask(0o077);
    try {
      await writeFileAtomic(join(folder, 'a/b/c/f'), 'x', 0o644);
    } finally {
      process.umask(before);
    }
    expect([await modeOf(join(folder, 'a')), await modeOf(join(folder, 'a/b'))]).toEqual([0o700, 0o755]);
    expect(await modeOf(join(folder, 'a/b/c'))).toBe(0o755);
  });

  it('writeFileAtomic changes nothing if the path is a folder', async () => {
    const path = join(folder, 'd');
    await mkdir(path);
    await expect(writeFileAtomic(path, 'x', 0o644)).rejects.toMatchObject({
      code: 'host',
      message: expect.stringContaining(`cannot write ${path}: `),
    });
    expect(await readdir(folder)).toEqual(['d']);
  });

  it('writeFileAtomic names the path in its error if a part of the path is a file', async () => {
    await writeFile(join(folder, 'f'), 'old');
    const path = join(folder, 'f/subnet.env');
    await expect(writeFileAtomic(path, 'x', 0o644)).rejects.toMatchObject({
      code: 'host',
      errno: expect.stringMatching(/^(?:ENOTDIR|EEXIST)$/),
      message: expect.stringContaining(`cannot write ${path}: `),
    });
    expect(await readFile(join(folder, 'f'), 'utf8')).toBe('old');
  });
});

describe('assertWritable', () => {
  it('assertWritable makes the folder, leaves nothing in it, and does not change the file', async () => {
    const path = join(folder, 'run/flannel/subnet.env');
    await assertWritable(path);
    expect(await readdir(join(folder, 'run/flannel'))).toEqual([]);
    await writeFile(path, 'old');
    await assertWritable(path);
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(join(folder, 'run/flannel'))).toEqual(['subnet.env']);
  });

  it('assertWritable removes what killed runs left of this file, and nothing else', async () => {
    const id = '0123456789abcdef';
    const [ours, other] = [`.f.${id}.tmp`, join(folder, 'other')];
    const kept = [`.f.${id}.tmp2`, '.f.tmp', `.g.${id}.tmp`, `f.${id}.tmp`, `.fx${id}.tmp`];
    for (const name of [...kept, ours, `.f.more.${id}.tmp`, 'other']) await writeFile(join(folder, name), '');
    const [young, link, pipe] = [1, 2, 3].map((digit) => `.f.${String(digit).repeat(16)}.tmp`);
    await symlink(other, join(folder, `${link}`));
    await exec('mkfifo', [join(folder, `${pipe}`)]);
    await exec('touch', ['--no-dereference', '--date=-2 minutes', ...(await readdir(folder)).map(inFolder)]);
    await writeFile(join(folder, `${young}`), '');
    await assertWritable(join(folder, 'f'));
    expect(new Set(await readdir(folder))).toEqual(new Set([...kept, young, link, pipe, 'other']));
  });

  it('assertWritable is not stopped by a file that an earlier process of the same number left', async () => {
    await writeFile(join(folder, `.f.${process.pid}.probe`), '');
    await assertWritable(join(folder, 'f'));
  });

  it.each([
    ['a part of the path is a file', 'f/subnet.env'],
    ['the path is a folder', 'd'],
  ])('assertWritable fails if %s, and leaves nothing behind', async (_, path) => {
    await writeFile(join(folder, 'f'), '');
    await mkdir(join(folder, 'd'));
    await expect(assertWritable(join(folder, path))).rejects.toMatchObject({
      code: 'host',
      message: expect.stringContaining(`cannot write ${join(folder, path)}: `),
    });
    expect((await readdir(folder)).sort()).toEqual(['d', 'f']);
  });
});

const isRoot = process.getuid?.() === 0;
describe.skipIf(!isRoot)(`writeFileAtomic on a full disk${isRoot ? '' : ' (skipped: needs root)'}`, () => {
  it('writeFileAtomic keeps the old file on a full disk, and leaves no part of the new one', async () => {
    // A file system of one page, which the old file fills.
    await exec('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', folder]);
    try {
      const path = join(folder, 'f');
      await writeFileAtomic(path, 'old', 0o644);
      await expect(writeFileAtomic(path, 'new', 0o644)).rejects.toMatchObject({
        code: 'host',
        errno: 'ENOSPC',
        message: expect.stringContaining(`cannot write ${path}: `),
      });
      expect(await readFile(path, 'utf8')).toBe('old');
      expect(await readdir(folder)).toEqual(['f']);
    } finally {
      await exec('umount', ['-l', folder]);
    }
  });
});

describe.skipIf(!isRoot)(`files of another user${isRoot ? '' : ' (skipped: needs root)'}`, () => {
  it('assertWritable leaves a file of another user', async () => {
    const left = join(folder, '.f.0123456789abcdef.tmp');
    await writeFile(left, '');
    await chown(left, 65_534, 65_534);
    await exec('touch', ['--date=-2 minutes', left]);
    await assertWritable(join(folder, 'f'));
    expect(await readdir(folder)).toEqual(['.f.0123456789abcdef.tmp']);
  });
});

describe.skipIf(!isRoot)(`a read-only file system${isRoot ? '' : ' (skipped: needs root)'}`, () => {
  it('the error says which folder cannot be made or written, why, and the remedy', async () => {
    await exec('mount', ['-t', 'tmpfs', 'tmpfs', folder]);
    try {
      await mkdir(join(folder, 'd'));
      await exec('mount', ['-o', 'remount,ro', folder]);
      const hint = 'mount a writable file system there, such as a tmpfs, or choose another path';
      for (const write of [assertWritable, (path: string) => writeFileAtomic(path, 'x', 0o644)]) {
        await expect(write(join(folder, 'run/flannel/subnet.env'))).rejects.toMatchObject({
          code: 'host',
          errno: 'EROFS',
          message: `cannot write ${folder}/run/flannel/subnet.env: cannot make the folder ${folder}/run: read-only file system (EROFS)`,
          hint,
        });
        await expect(write(join(folder, 'd/subnet.env'))).rejects.toMatchObject({
          errno: 'EROFS',
          message: `cannot write ${folder}/d/subnet.env: read-only file system (EROFS)`,
          hint,
        });
      }
    } finally {
      await exec('umount', ['-l', folder]);
    }
  });
});

describe('a folder that cannot be made', () => {
  it('the error names the part of the path that is a file', async () => {
    await writeFile(join(folder, 'f'), 'old');
    await expect(assertWritable(join(folder, 'f/d/subnet.env'))).rejects.toMatchObject({
      message: `cannot write ${folder}/f/d/subnet.env: cannot make the folder ${folder}/f/d: not a directory (ENOTDIR)`,
    });
  });

  // A kernel's file system answers that the folder does not exist. Trying its parents again and again never ends.
  it.skipIf(!isRoot)('the error comes at once where no folder can be made', async () => {
    await expect(assertWritable('/proc/twill/d/subnet.env')).rejects.toMatchObject({
      message: expect.stringMatching(
        /^cannot write \/proc\/twill\/d\/subnet\.env: cannot make the folder \/proc\/twill: /,
      ),
    });
  });
});

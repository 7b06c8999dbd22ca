// The cache of unpacked packages, where the packages cannot be had: the tests' own network leads nowhere.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type DebianRoot,
  engineCacheFolder,
  fillRoot,
  rootFailure,
  rootFolder,
} from '../lab/engines/debian-root.ts';
import { allOf, NEEDS_PRIVATE_NETNS, needsProgram, title } from '../support/needs.ts';

const NEED = allOf(NEEDS_PRIVATE_NETNS, needsProgram('apt-get'));
const ROOT: DebianRoot = { name: 'nothing', suite: 'bookworm', packages: ['hello'], isWhole: false };

describe.skipIf(NEED.missing)(title('the cache of engines', NEED), () => {
  const before = process.env['XDG_CACHE_HOME'];
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-cache-'));
    process.env['XDG_CACHE_HOME'] = folder;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
    await rm(folder, { recursive: true, force: true });
  });

  it('a failed download leaves its reason in one line, and no folder that could pass for a root', async () => {
    const said: string[] = [];
    expect(await rootFailure(ROOT)).toBe('they were not downloaded');
    await fillRoot(ROOT, (line) => said.push(line));
    const reason = await rootFailure(ROOT);
    expect(reason).toMatch(/^\S.{10,}$/);
    expect(said).toEqual([
      'unpacking nothing of Debian bookworm, once',
      `cannot unpack nothing of Debian bookworm: ${reason}`,
    ]);
    expect(existsSync(rootFolder(ROOT))).toBe(false);
    expect((await readdir(engineCacheFolder())).filter((name) => !name.endsWith('.failed'))).toEqual([]);
    await fillRoot(ROOT, (line) => said.push(line));
    expect(said, 'it is not tried again at once').toHaveLength(2);
  });

  it('the folder of a run that was killed is removed by a later one', async () => {
    const old = join(engineCacheFolder(), '.fill-old');
    await mkdir(old, { recursive: true });
    await utimes(old, 0, 0);
    await mkdir(join(engineCacheFolder(), '.fill-young'));
    await fillRoot(ROOT, () => undefined);
    expect((await readdir(engineCacheFolder())).filter((name) => name.startsWith('.fill-'))).toEqual([
      '.fill-young',
    ]);
  });

  it('another list of packages is another root', () => {
    expect(rootFolder({ ...ROOT, packages: ['hello', 'world'] })).not.toBe(rootFolder(ROOT));
  });
});

// --etcd-password-file: a password that no list of processes and no environment shows.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import { parseCommandLine } from '../../agent/options/flag-values.ts';
import { readAgentOptions } from '../../agent/options.ts';

const HINT = 'give a file that this user may read, with the password of the etcd user and nothing else';

describe('the file of the etcd password', () => {
  let folder = '';
  let path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-password-'));
    path = join(folder, 'password');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const read = async (environment: Readonly<Record<string, string>> = {}) => {
    const flags = [
      '--etcd-username=u',
      ...('FLANNELD_ETCD_PASSWORD_FILE' in environment ? [] : [`--etcd-password-file=${path}`]),
    ];
    return readAgentOptions(parseCommandLine(flags), environment);
  };

  it.each([
    ['hunter2', 'hunter2'],
    ['hunter2\n', 'hunter2'],
    ['hunter2\r\n', 'hunter2'],
    ['hunter2\n\n', 'hunter2\n'],
    [' "a b" ', ' "a b" '],
    ['grün\n', 'grün'],
  ])('the file %j holds the password %j', async (text, password) => {
    await writeFile(path, text);
    expect((await read()).datastore).toMatchObject({ kind: 'etcd', username: 'u', password });
  });

  it('the file may be named by the environment, and may stand beside no other password', async () => {
    await writeFile(path, 'hunter2\n');
    const environment = { FLANNELD_ETCD_PASSWORD_FILE: path };
    expect((await read(environment)).datastore).toMatchObject({ password: 'hunter2' });
    await expect(read({ ...environment, FLANNELD_ETCD_PASSWORD: 'hunter3' })).rejects.toMatchObject({
      code: 'usage',
      message: 'FLANNELD_ETCD_PASSWORD_FILE: takes the place of FLANNELD_ETCD_PASSWORD: leave one out',
    });
  });

  it.each([
    ['an empty file', '', 'it is empty'],
    ['a file of one line end', '\n', 'it is empty'],
    ['a file that is too long', 'x'.repeat(4_097), 'cannot read it: it is longer than 4096 bytes'],
    ['a file that is no text', Buffer.from([0xff, 0xfe, 0x00]), 'it is no text in UTF-8'],
  ])('%s is refused in one line, without its content', async (_, content, why) => {
    await writeFile(path, content);
    await expect(read()).rejects.toMatchObject({
      code: 'host',
      message: `--etcd-password-file ${path}: ${why}`,
      hint: HINT,
    });
  });

  it('a missing file and a pipe are refused at once', async () => {
    await expect(read()).rejects.toMatchObject({
      code: 'host',
      message: `--etcd-password-file ${path}: cannot read it: no such file or directory (ENOENT)`,
      hint: HINT,
    });
    await exec('mkfifo', [path]);
    await expect(read()).rejects.toMatchObject({
      message: `--etcd-password-file ${path}: cannot read it: it is no regular file`,
    });
  });
});

import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exec } from '../../../agent/base/exec.ts';
import { readTlsFiles } from '../../../agent/datastore/etcd-endpoint.ts';
import { LIMITS } from '../../../agent/datastore/limits.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'twill-tls-'));
});
afterEach(() => rm(folder, { recursive: true }));

const read = (keyFile: string) =>
  readTlsFiles({
    kind: 'etcd',
    endpoints: [],
    prefix: '',
    caFile: undefined,
    certFile: undefined,
    keyFile,
    username: undefined,
    password: undefined,
  });

describe('the TLS files', () => {
  it('a TLS file may be as long as the limit, and no longer', async () => {
    const path = join(folder, 'key.pem');
    await writeFile(path, '');
    await truncate(path, LIMITS.tlsFileBytes);
    expect((await read(path)).key?.length).toBe(LIMITS.tlsFileBytes);
    await truncate(path, LIMITS.tlsFileBytes + 1);
    await expect(read(path)).rejects.toMatchObject({
      code: 'datastore',
      message: `cannot read --etcd-keyfile ${path}: it is longer than ${LIMITS.tlsFileBytes} bytes`,
      hint: 'give a PEM file that this user may read',
    });
  });

  it('a pipe is refused at once', async () => {
    const path = join(folder, 'pipe');
    await exec('mkfifo', [path]);
    await expect(read(path)).rejects.toMatchObject({
      code: 'datastore',
      message: `cannot read --etcd-keyfile ${path}: it is no regular file`,
    });
  });
});

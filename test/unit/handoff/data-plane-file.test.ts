import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DataPlaneFile, dataPlaneFile } from '../../../agent/handoff/data-plane-file.ts';
import { LIMITS } from '../../../agent/handoff/limits.ts';
import type { DataPlaneRecord } from '../../../agent/model/data-plane-memory.ts';
import { createVirtualClock, type VirtualClock } from '../../fakes/virtual-clock.ts';
import { prefix } from '../../support/build.ts';

const RECORD: DataPlaneRecord = {
  backend: { type: 'udp', options: { Port: 8285 } },
  input: {
    planes: [
      {
        plane: {
          family: 'ipv4',
          network: prefix('10.5.0.0/16'),
          subnet: prefix('10.5.1.0/24'),
          end: { address: '192.168.77.1', publicIP: '203.0.113.1' },
        },
        peers: [
          { subnet: prefix('10.5.2.0/24'), publicIP: '192.168.77.2', data: undefined },
          { subnet: prefix('10.5.3.0/24'), publicIP: '192.168.77.3', data: { VNI: 1 } },
        ],
      },
    ],
  },
};

describe("the data plane's file", () => {
  let folder = '';
  let clock: VirtualClock;
  let file: DataPlaneFile;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-data-plane-'));
    clock = createVirtualClock();
    file = dataPlaneFile(join(folder, 'subnet.env'), clock);
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Writes the file with one text in it replaced by another. */
  async function rewrite(from: string | RegExp, to: string): Promise<void> {
    await file.write(RECORD);
    const text = await readFile(file.path, 'utf8');
    expect(text.replace(from, to)).not.toBe(text);
    await writeFile(file.path, text.replace(from, to));
  }

  it('the data plane’s file gives back what was written', async () => {
    await file.write(RECORD);
    expect(await file.read()).toEqual(RECORD);
  });

  it('the data plane’s file is beside the subnet file, for its owner alone', async () => {
    await file.write(RECORD);
    expect(await readdir(folder)).toEqual(['subnet.env.data-plane']);
    expect((await stat(file.path)).mode & 0o7777).toBe(0o600);
  });

  it('the data plane’s file reads as undefined before it is written and after it is removed', async () => {
    expect(await file.read()).toBeUndefined();
    await file.write(undefined);
    await file.write(RECORD);
    await file.write(undefined);
    expect(await file.read()).toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  it('the data plane’s file is accepted for as long as a restart may take', async () => {
    await file.write(RECORD);
    await clock.advance(LIMITS.dataPlaneAgeMs);
    expect(await file.read()).toEqual(RECORD);
    await clock.advance(1);
    await expect(file.read()).rejects.toMatchObject({ code: 'host', message: /300001 ms old/ });
  });

  it('the data plane’s file is refused with a time in the future', async () => {
    await rewrite('"bootMs":0', '"bootMs":1');
    await expect(file.read()).rejects.toThrow('-1 ms old');
  });

  it('the data plane’s file is refused when it is of another boot', async () => {
    await rewrite(/"bootId":"[^"]+"/, '"bootId":"00000000-0000-0000-0000-000000000000"');
    await expect(file.read()).rejects.toThrow('it is of another boot');
  });

  it.each([0o644, 0o620, 0o400, 0o4600])('the data plane’s file is refused with mode %o', async (mode) => {
    await file.write(RECORD);
    await chmod(file.path, mode);
    await expect(file.read()).rejects.toThrow(`its mode is ${mode.toString(8)}`);
  });

  it.skipIf(process.getuid?.() !== 0)(
    "the data plane's file is refused when it is another user's",
    async () => {
      await file.write(RECORD);
      await chown(file.path, 65_534, 65_534);
      await expect(file.read()).rejects.toThrow('its owner is user 65534');
    },
  );

  it('the data plane’s file is refused as a link, a folder or a pipe', async () => {
    await file.write(RECORD);
    const link = dataPlaneFile(join(folder, 'link'), clock);
    await symlink(file.path, link.path);
    await expect(link.read()).rejects.toThrow(`cannot read ${link.path}`);
    const pipe = dataPlaneFile(join(folder, 'pipe'), clock);
    execFileSync('mkfifo', [pipe.path]);
    await expect(pipe.read()).rejects.toThrow('it is no regular file');
    const directory = dataPlaneFile(join(folder, 'folder'), clock);
    execFileSync('mkdir', [directory.path]);
    await expect(directory.read()).rejects.toThrow('it is no regular file');
  });

  it('the data plane’s file is not read when it is too large', async () => {
    await writeFile(file.path, Buffer.alloc(LIMITS.dataPlaneFileBytes + 1, ' '), { mode: 0o600 });
    await expect(file.read()).rejects.toThrow('it is longer than 1048576 bytes');
  });

  it.each([
    ['nothing', /.*/, ''],
    ['half a file', /.{100}$/, ''],
    ['no object', /.*/, '[]'],
    ['another version', '"version":1', '"version":2'],
    ['no planes', /"planes":.*/, '"planes":[]}'],
    ['options that are no object', '"options":{"Port":8285}', '"options":8285'],
    ['another family', '"family":"ipv4"', '"family":"ipv6"'],
    ['a network with host bits', '10.5.0.0/16', '10.5.0.1/16'],
    ['a subnet outside the network', '10.5.1.0/24', '10.6.1.0/24'],
    ['an address that is none', '"address":"192.168.77.1"', '"address":"192.168.77.256"'],
    ['an address of another family', '"address":"192.168.77.1"', '"address":"fd00::1"'],
    ['a number for an address', '"192.168.77.2"', '3232255234'],
    ['a peer outside the network', '10.5.2.0/24', '192.168.0.0/24'],
    ['a peer with everything', '10.5.2.0/24', '0.0.0.0/0'],
    ['a peer in our subnet', '10.5.2.0/24', '10.5.1.128/25'],
    ['a peer at our own address', '192.168.77.2', '203.0.113.1'],
    ['a peer without an address', '"publicIP":"192.168.77.2"', '"publicIP":""'],
  ])('the data plane’s file is refused with %s', async (_, from, to) => {
    await rewrite(from, to);
    await expect(file.read()).rejects.toMatchObject({ code: 'host' });
  });

  it('the data plane’s file is named in the error if it cannot be written or removed', async () => {
    const below = dataPlaneFile(join(folder, 'file', 'subnet.env'), clock);
    await writeFile(join(folder, 'file'), '');
    await expect(below.write(RECORD)).rejects.toThrow(`cannot write ${below.path}`);
    await expect(below.write(undefined)).rejects.toThrow(`cannot remove ${below.path}`);
  });
});

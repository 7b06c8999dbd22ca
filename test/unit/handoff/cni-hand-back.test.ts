// The files by which flannel's plugin deletes pods of our list.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { handBack } from '../../../agent/handoff/cni-hand-back.ts';
import { cniPodsForm } from '../../../agent/handoff/cni-pods.ts';
import { formatSubnetEnv } from '../../../agent/handoff/subnet-env.ts';
import { prefix } from '../../support/build.ts';

const env = {
  network: prefix('10.244.0.0/16'),
  subnet: prefix('10.244.1.0/24'),
  mtuBytes: 1450,
  ipMasq: true,
};

describe('the hand-back', () => {
  let folder = '';
  const at = (...names: string[]): string => join(folder, ...names);
  const work = () => handBack(at('subnet.env'), at('cni'));
  const reserve = (address: string, text: string): Promise<void> =>
    writeFile(at('cni/networks/cbr0', address), text);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-hand-back-'));
    await mkdir(at('cni/networks/cbr0'), { recursive: true });
    await writeFile(at('subnet.env'), formatSubnetEnv(env));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("the hand-back writes the plugin's own input for each pod that has none, for root alone", async () => {
    await reserve('10.244.1.2', 'aaa\r\neth0');
    await reserve('10.244.1.3', 'bbb\neth0\n');
    await reserve('last_reserved_ip.0', '10.244.1.3');
    await reserve('lock', '');
    await mkdir(at('cni/flannel'));
    await writeFile(at('cni/flannel/aaa'), "flannel's");
    expect(await work()).toEqual({
      written: [{ file: at('cni/flannel/bbb'), address: '10.244.1.3' }],
      kept: 1,
      unclear: [],
    });
    expect(await readFile(at('cni/flannel/aaa'), 'utf8')).toBe("flannel's");
    const list = JSON.parse(cniPodsForm('/x').format(env, undefined));
    expect(JSON.parse(await readFile(at('cni/flannel/bbb'), 'utf8'))).toEqual({
      cniVersion: list.cniVersion,
      name: list.name,
      ...list.plugins[0],
    });
    expect((await stat(at('cni/flannel/bbb'))).mode & 0o777).toBe(0o600);
    expect(await work()).toEqual({ written: [], kept: 2, unclear: [] });
  });

  it('the hand-back makes the folder of flannel for root alone, and none without pods', async () => {
    await rm(at('cni/networks'), { recursive: true });
    expect(await work()).toEqual({ written: [], kept: 0, unclear: [] });
    expect(await readdir(at('cni'))).toEqual([]);
    await mkdir(at('cni/networks/cbr0'), { recursive: true });
    await reserve('10.244.1.2', 'aaa');
    await work();
    expect((await stat(at('cni/flannel'))).mode & 0o777).toBe(0o700);
  });

  it.each(['', '../../etc/cron.d/a', '.a', 'a'.repeat(256)])(
    'the hand-back passes over the container %j, and says so',
    async (id) => {
      await reserve('10.244.1.2', `${id}\neth0`);
      await reserve('10.244.1.3', 'bbb');
      expect(await work()).toMatchObject({ written: [{ address: '10.244.1.3' }], unclear: ['10.244.1.2'] });
      expect(await readdir(at('cni/flannel'))).toEqual(['bbb']);
    },
  );

  it('the hand-back needs the subnet of the node and the state of the plugins', async () => {
    await writeFile(at('subnet.env'), 'FLANNEL_SUBNET=10.244.1.1/24\n');
    await expect(work()).rejects.toThrow(`${at('subnet.env')} lacks the network, the subnet, the MTU or`);
    await rm(at('subnet.env'));
    await expect(work()).rejects.toThrow(`cannot read ${at('subnet.env')}: `);
    await writeFile(at('subnet.env'), formatSubnetEnv(env));
    await rm(at('cni'), { recursive: true });
    await expect(work()).rejects.toMatchObject({
      code: 'host',
      hint: `the host's ${at('cni')} must be there`,
    });
  });
});

// The files together: their order, what is replaced and removed, and what the log says.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dockerOptsForm } from '../../../agent/handoff/docker-opts.ts';
import { type Form, removeForm } from '../../../agent/handoff/form.ts';
import { engineForms, handOffFiles } from '../../../agent/handoff/hand-off-files.ts';
import { LIMITS } from '../../../agent/handoff/limits.ts';
import type { HandOff, SubnetEnv } from '../../../agent/model/hand-off.ts';
import { prefix } from '../../support/build.ts';
import { captureLog } from '../../support/capture-log.ts';

const env: SubnetEnv = {
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.34.0/24'),
  mtuBytes: 1450,
  ipMasq: true,
};
const OTHER = { ...env, subnet: prefix('10.5.35.0/24') };

describe('the hand-off by files', () => {
  let folder = '';
  let forms: readonly Form[] = [];
  let handOff: HandOff;
  let lines: string[] = [];
  const at = (name: string): string => join(folder, name);
  const names = async (): Promise<string[]> => (await readdir(folder)).sort();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-hand-off-'));
    const others = {
      dockerOpts: undefined,
      cniConf: at('net.conflist'),
      cniPods: undefined,
      podmanNetwork: at('web.json'),
    };
    forms = [
      dockerOptsForm(at('docker.env'), at('daemon.json')),
      ...(await engineForms(others, { wallMs: () => 0 })),
    ];
    const captured = captureLog('twill');
    lines = captured.lines;
    handOff = handOffFiles({ subnetFile: at('subnet.env'), forms, log: captured.log });
    expect(lines).toEqual([
      expect.stringContaining('each of these files gives the whole subnet to one engine; '),
    ]);
    lines.length = 0;
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('the hand-off writes each file once, readable for all, and names those for engines in the log', async () => {
    expect(await handOff.write(env)).toBe(true);
    expect(await names()).toEqual(['docker.env', 'net.conflist', 'subnet.env', 'web.json']);
    for (const name of await names()) expect((await stat(at(name))).mode & 0o777).toBe(0o644);
    expect(lines).toEqual(
      ['docker.env', 'net.conflist', 'web.json'].map((name) => `info  twill: wrote ${at(name)}`),
    );
    const inodes = async (): Promise<number[]> =>
      Promise.all((await names()).map(async (name) => (await stat(at(name))).ino));
    const before = await inodes();
    expect(await handOff.write(env)).toBe(false);
    expect(await inodes()).toEqual(before);
    expect(lines).toHaveLength(3);
  });

  it('the hand-off rewrites a file of ours whose values or mode differ', async () => {
    await handOff.write(env);
    lines.length = 0;
    await handOff.write(OTHER);
    expect(lines).toHaveLength(3);
    for (const name of await names()) expect(await readFile(at(name), 'utf8')).toContain('10.5.35.1');
    await chmod(at('docker.env'), 0o600);
    await writeFile(at('net.conflist'), '\n');
    await rm(at('web.json'));
    expect(await handOff.write(OTHER)).toBe(false);
    expect(lines).toHaveLength(6);
  });

  it.each(['docker.env', 'net.conflist', 'web.json'])(
    'the hand-off replaces no foreign file %s, and subnet.env waits for it',
    async (name) => {
      await writeFile(at(name), '{"name":"mine"}');
      await expect(handOff.write(env)).rejects.toMatchObject({
        code: 'host',
        message: `cannot write ${at(name)}: another program or user wrote that file; move it away`,
      });
      expect(await readFile(at(name), 'utf8')).toBe('{"name":"mine"}');
      expect(await names()).not.toContain('subnet.env');
      await rm(at(name));
      expect(await handOff.write(env)).toBe(true);
    },
  );

  it('the hand-off takes nothing for its own that is too long, a folder or no file', async () => {
    const [docker] = forms;
    if (docker === undefined) throw new Error('no form');
    const text = docker.format(env, undefined);
    await writeFile(at('docker.env'), `${text}${text.repeat(Math.ceil(LIMITS.formBytes / text.length))}`);
    await expect(handOff.write(env)).rejects.toThrow('another program or user wrote that file');
    expect(await removeForm(docker)).toBe('kept');
    await rm(at('docker.env'));
    await mkdir(at('docker.env'));
    await expect(handOff.write(env)).rejects.toThrow(
      `cannot write ${at('docker.env')}: it is no regular file`,
    );
    await expect(removeForm(docker)).rejects.toThrow(
      `cannot remove ${at('docker.env')}: it is no regular file`,
    );
  });

  it('the hand-off is taken back as far as it is ours', async () => {
    const outcomes = (): Promise<string[]> => Promise.all(forms.map(removeForm));
    expect(await outcomes()).toEqual(['absent', 'absent', 'absent']);
    await handOff.write(env);
    await writeFile(at('docker.env'), 'DOCKER_OPTS="--dns 10.0.0.1"\n');
    expect(await outcomes()).toEqual(['kept', 'removed', 'removed']);
    expect(await names()).toEqual(['docker.env', 'subnet.env']);
  });

  it("the hand-off warns of Docker's own file once, and again when that changes", async () => {
    const warnings = (): string[] => lines.filter((line) => line.startsWith('warn'));
    await writeFile(at('daemon.json'), '{"mtu":1450}');
    await handOff.write(env);
    await handOff.write(OTHER);
    expect(warnings()).toEqual([
      expect.stringContaining(`${at('daemon.json')}: dockerd does not start with`),
    ]);
    await writeFile(at('daemon.json'), '{"mtu":1450,"bip":"10.5.35.1/24"}');
    await handOff.write(OTHER);
    await handOff.write(OTHER);
    expect(warnings()).toHaveLength(2);
    await writeFile(at('daemon.json'), '{');
    await handOff.write(OTHER);
    await handOff.write(OTHER);
    expect(warnings().slice(2)).toEqual([expect.stringContaining(`${at('daemon.json')}: not valid JSON: `)]);
    expect(await names()).toContain('subnet.env');
  });

  it('the hand-off keeps our subnet though mk-docker-opts.sh wrote over it, and says so', async () => {
    await writeFile(at('subnet.env'), forms[0]?.format(env, undefined) ?? '');
    expect(await handOff.previousSubnet()).toEqual(env.subnet);
    expect(lines).toEqual([
      `warn  twill: ${at('subnet.env')} held flags of Docker: give mk-docker-opts.sh another file with -d`,
    ]);
    expect(await handOff.write(env)).toBe(true);
    expect(await handOff.previousSubnet()).toEqual(env.subnet);
    expect(lines.filter((line) => line.startsWith('warn'))).toHaveLength(1);
  });
});

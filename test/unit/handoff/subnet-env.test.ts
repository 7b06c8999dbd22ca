import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeForm } from '../../../agent/handoff/form.ts';
import { LIMITS } from '../../../agent/handoff/limits.ts';
import {
  formatSubnetEnv,
  parseSubnetEnv,
  readPreviousSubnet,
  subnetEnvForm,
} from '../../../agent/handoff/subnet-env.ts';
import type { SubnetEnv } from '../../../agent/model/hand-off.ts';

const env: SubnetEnv = {
  network: { family: 'ipv4', address: '10.5.0.0', length: 16 },
  subnet: { family: 'ipv4', address: '10.5.34.0', length: 24 },
  mtuBytes: 1450,
  ipMasq: true,
};
const NONE = { subnet: undefined, isOverwritten: false };
const TEXT = `FLANNEL_NETWORK=10.5.0.0/16
FLANNEL_SUBNET=10.5.34.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

describe('formatSubnetEnv', () => {
  it("formatSubnetEnv writes flannel's text, to the byte", () => {
    expect(formatSubnetEnv(env)).toBe(TEXT);
    expect(formatSubnetEnv({ ...env, ipMasq: false, mtuBytes: 1500 })).toBe(
      TEXT.replace('1450', '1500').replace('true', 'false'),
    );
  });

  it('formatSubnetEnv writes a text that parseSubnetEnv reads back', () => {
    expect(parseSubnetEnv(formatSubnetEnv(env))).toEqual(env);
  });
});

describe('parseSubnetEnv', () => {
  const { network, subnet } = env;
  it.each([
    { text: '', values: {} },
    { text: 'FLANNEL_SUBNET=10.5.34.1/24', values: { subnet } },
    { text: ' FLANNEL_SUBNET=10.5.34.1/24 \r\n', values: { subnet } },
    { text: 'FLANNEL_NETWORK=10.5.0.0/16\n\n# FLANNEL_SUBNET=1.2.3.4/24', values: { network } },
    { text: 'FLANNEL_SUBNET=10.5.34.1', values: {} },
    { text: 'FLANNEL_SUBNET=10.5.34.1/33', values: {} },
    { text: 'FLANNEL_SUBNET=fd00::1/64', values: {} },
    { text: 'FLANNEL_SUBNET=\nFLANNEL_MTU=-1\nFLANNEL_IPMASQ=maybe', values: {} },
    { text: 'FLANNEL_IPV6_SUBNET=fd00::1/64\nFLANNEL_MTU=1450', values: { mtuBytes: 1450 } },
    { text: '\0\u{1F525}{"a":1}', values: {} },
  ])('parseSubnetEnv reads $text as $values', ({ text, values }) => {
    expect(parseSubnetEnv(text)).toEqual(values);
  });
});

describe('the subnet file', () => {
  let folder = '';
  let path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'twill-subnet-env-'));
    path = join(folder, 'run', 'subnet.env');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('the subnet file is made with its folder, readable for all users, with no other file beside it', async () => {
    expect(await writeForm(subnetEnvForm(path), env)).toBe(true);
    expect(await readFile(path, 'utf8')).toBe(TEXT);
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(join(folder, 'run'))).toEqual(['subnet.env']);
  });

  it('the subnet file is rewritten only if its content or mode differs', async () => {
    await writeForm(subnetEnvForm(path), env);
    const { ino } = await stat(path);
    expect(await writeForm(subnetEnvForm(path), env)).toBe(false);
    expect((await stat(path)).ino).toBe(ino);
    await chmod(path, 0o600);
    expect(await writeForm(subnetEnvForm(path), env)).toBe(true);
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await writeForm(subnetEnvForm(path), { ...env, mtuBytes: 1400 })).toBe(true);
    await writeFile(path, `${TEXT}${'#'.repeat(10_000)}`);
    expect(await writeForm(subnetEnvForm(path), env)).toBe(true);
    expect(await readFile(path, 'utf8')).toBe(TEXT);
  });

  it('the subnet file gives the previous subnet', async () => {
    await writeForm(subnetEnvForm(path), env);
    expect((await readPreviousSubnet(path)).subnet).toEqual(env.subnet);
  });

  it.each([
    'DOCKER_OPT_BIP="--bip=10.5.34.1/24"\nDOCKER_OPT_MTU="--mtu=1450"\n',
    'DOCKER_OPTS=" --bip=10.5.34.1/24 --ip-masq=false --mtu=1450"\n',
    'DOCKER_NETWORK_OPTIONS="-D  --bip=10.5.34.1/24"\n',
  ])('the subnet file gives the previous subnet though mk-docker-opts.sh wrote over it: %j', async (text) => {
    await mkdir(join(folder, 'run'));
    await writeFile(path, text);
    expect(await readPreviousSubnet(path)).toEqual({ subnet: env.subnet, isOverwritten: true });
    // Our own values count, also beside flags.
    await writeFile(path, `${text}${TEXT.replace('10.5.34.1', '10.5.35.1')}`);
    expect(await readPreviousSubnet(path)).toEqual({
      subnet: { ...env.subnet, address: '10.5.35.0' },
      isOverwritten: false,
    });
  });

  it('the subnet file gives no part of a line where its read start ends', async () => {
    const line = 'FLANNEL_SUBNET=10.5.34.1/24\n';
    const before = `#${' '.repeat(LIMITS.formBytes - line.length)}\n`;
    await mkdir(join(folder, 'run'));
    // Read to its limit, the last line of the file would be 10.5.34.1/2.
    await writeFile(path, `${before}${line}`);
    expect(await readPreviousSubnet(path)).toEqual(NONE);
    await writeFile(path, `${before.slice(3)}${line}#${' '.repeat(9_000)}`);
    expect((await readPreviousSubnet(path)).subnet).toEqual(env.subnet);
  });

  it('the subnet file gives no previous subnet if it is missing, garbage, a folder, endless or a pipe', async () => {
    expect(await readPreviousSubnet(path)).toEqual(NONE);
    expect(await readPreviousSubnet(folder)).toEqual(NONE);
    expect(await readPreviousSubnet('/dev/zero')).toEqual(NONE);
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect(await readPreviousSubnet(pipe)).toEqual(NONE);
    const garbage = join(folder, 'garbage');
    await writeFile(garbage, Buffer.alloc(100_000, 0xff));
    expect(await readPreviousSubnet(garbage)).toEqual(NONE);
  });

  it('the subnet file is named in the error if it cannot be written', async () => {
    await writeFile(join(folder, 'run'), '');
    await expect(writeForm(subnetEnvForm(path), env)).rejects.toMatchObject({
      code: 'host',
      message: expect.stringContaining(`cannot write ${path}: `),
    });
  });
});

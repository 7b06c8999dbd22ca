import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dockerOptsForm, formatDockerOpts } from '../../../agent/handoff/docker-opts.ts';
import { parseEnvironmentFile } from '../../../agent/handoff/environment-file.ts';
import type { SubnetEnv } from '../../../agent/model/hand-off.ts';
import { prefix } from '../../support/build.ts';

const env: SubnetEnv = {
  network: prefix('10.5.0.0/16'),
  subnet: prefix('10.5.34.0/24'),
  mtuBytes: 1450,
  ipMasq: true,
};
const FLAGS = { bip: prefix('10.1.74.1/24'), ipMasq: true, mtuBytes: 1472 };

describe('formatDockerOpts', () => {
  it('formatDockerOpts leaves out the flags that have no value', () => {
    const none = { ...FLAGS, ipMasq: undefined, mtuBytes: undefined };
    const both = { individual: true, combined: { key: 'K', before: '' } };
    expect(formatDockerOpts(none, both)).toBe(
      'DOCKER_OPT_BIP="--bip=10.1.74.1/24"\nK=" --bip=10.1.74.1/24"\n',
    );
  });

  it.each(['-D', '--label a="b c"', '--log-opt tag=$x`id`', 'C:\\path', 'two\nlines', '$(touch /nowhere)'])(
    'formatDockerOpts keeps the flags %j before its own, for a shell and for EnvironmentFile=',
    async (before) => {
      const text = formatDockerOpts(FLAGS, { individual: false, combined: { key: 'K', before } });
      const expected = `${before}  --bip=10.1.74.1/24 --ip-masq=true --mtu=1472`;
      expect(parseEnvironmentFile(text).get('K')).toBe(expected);
      const folder = await mkdtemp(join(tmpdir(), 'twill-docker-opts-'));
      try {
        await writeFile(join(folder, 'opts'), text);
        const shell = execFileSync('sh', ['-c', '. ./opts; printf %s "$K"'], { cwd: folder });
        expect(shell.toString()).toBe(expected);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );
});

describe('the file of flags for dockerd', () => {
  const form = dockerOptsForm('/run/docker_opts.env');
  const text = `DOCKER_OPT_BIP="--bip=10.5.34.1/24"
DOCKER_OPT_IPMASQ="--ip-masq=false"
DOCKER_OPT_MTU="--mtu=1450"
DOCKER_OPTS=" --bip=10.5.34.1/24 --ip-masq=false --mtu=1450"
`;

  it('the file of flags for dockerd has each flag alone and all of them in DOCKER_OPTS', () => {
    expect(form.format(env, undefined)).toBe(text);
    expect(form.format({ ...env, ipMasq: false }, undefined)).toBe(
      text.replaceAll('masq=false', 'masq=true'),
    );
  });

  it.each([
    [text, true],
    ['DOCKER_NETWORK_OPTIONS=" --bip=10.5.34.1/24 --mtu=1450"\n', true],
    ['DOCKER_OPTS="-D --label \\"a b\\"  --bip=10.5.34.1/24 --ip-masq=true --mtu=1450"\n', true],
    ['DOCKER_OPT_MTU="--mtu=1450"\n', true],
    // Debian's /etc/default/docker, a file of systemd, and flags of somebody's own beside ours.
    ['# Docker Upstart and SysVinit configuration file\n#DOCKER_OPTS="--dns 8.8.8.8"\n', false],
    ['DOCKER_OPTS="--dns 8.8.8.8"\n', false],
    ['DOCKER_OPTS="--dns 8.8.8.8 --bip=172.17.0.1/16"\n', false],
    ['DOCKER_OPTS=" --bip=10.5.34.1/24 --mtu=1450 --dns 8.8.8.8"\n', false],
    ['DOCKER_OPTS=""\n', false],
    [`${text}HTTP_PROXY="http://proxy:3128"\n`, false],
    ['{ "bip": "10.5.34.1/24" }', false],
    ['FLANNEL_SUBNET=10.5.34.1/24\n', false],
  ])('the file of flags for dockerd with %j is ours: %s', (found, expected) => {
    expect(form.isOurs?.(found)).toBe(expected);
  });
});

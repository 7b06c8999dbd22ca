// `twill docker network` and `twill podman network` on a host with links, in the private network namespace that the
// test runner starts this folder in. The engine's program is a script.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dispatch, parseInvocation } from '../../agent/cli/dispatch.ts';
import { NEEDS_PRIVATE_NETNS, title } from '../support/needs.ts';

const ENV =
  'FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.34.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

describe.skipIf(NEEDS_PRIVATE_NETNS.missing)(title('networks of engines', NEEDS_PRIVATE_NETNS), () => {
  const folder = mkdtempSync(join(tmpdir(), 'twill-engines-'));
  const file = join(folder, 'subnet.env');
  const script = (name: string, text: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  const twill = async (...args: string[]): Promise<string> => {
    let text = '';
    await dispatch(parseInvocation('twill', [...args, `--subnet-file=${file}`]), {
      signal: new AbortController().signal,
      environment: { DOCKER_HOST: 'unix:///x', FLANNELD_ETCD_PASSWORD: 'hunter2' },
      readVersion: () => '1.2.3',
      print: async (more) => {
        text += more;
      },
      openInput: async function* () {},
    });
    return text;
  };

  beforeAll(() => {
    writeFileSync(file, ENV);
    const lines = [
      'link add docker0 type bridge',
      'address add 10.5.34.1/25 dev docker0',
      'link set docker0 up',
    ];
    execFileSync('ip', ['-batch', '-'], { input: lines.join('\n') });
    vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    execFileSync('ip', ['link', 'del', 'docker0']);
    rmSync(folder, { recursive: true });
  });

  test('a part that no link has is printed as a command', async () => {
    expect(await twill('podman', 'network', 'pods', '--part=2/2')).toBe(
      'podman network create -d bridge --subnet 10.5.34.128/25 --gateway 10.5.34.129 -o mtu=1450 pods\n',
    );
  });

  test('a part that a link has is refused', async () => {
    await expect(twill('docker', 'network', 'web', '--part=1/4')).rejects.toThrow(
      'docker0 has 10.5.34.1/25, which overlaps 10.5.34.0/26',
    );
  });

  test('the command is run, and its program gets the variables of engines alone', async () => {
    script('docker', `echo "$DOCKER_HOST $FLANNELD_ETCD_PASSWORD $*" > ${folder}/called; echo 0123456789ab`);
    expect(await twill('docker', 'network', 'web', '--part=2/2', '--apply')).toBe('made network web\n');
    expect(readFileSync(join(folder, 'called'), 'utf8')).toMatch(
      /^unix:\/\/\/x  network create -d bridge --subnet 10\.5\.34\.128\/25 .* web\n$/,
    );
  });

  test.each([
    [
      'echo "Error response from daemon: network with name web already exists" >&2; exit 1',
      'network with name web already exists',
    ],
    ['exit 3', 'exit code 3'],
  ])('the failure of %j is one line', async (text, why) => {
    script('docker', text);
    await expect(twill('docker', 'network', 'web', '--part=2/2', '--apply')).rejects.toMatchObject({
      code: 'host',
      message: expect.stringMatching(new RegExp(`^docker network create .* web: ${why}$`)),
    });
  });

  test.each([
    ['FLANNEL_SUBNET=10.5.34.1/24\n', /subnet\.env: must have FLANNEL_NETWORK, FLANNEL_SUBNET, /],
    ['X='.padEnd(10_000, 'x'), /^cannot read \S+subnet\.env: it is longer than 4096 bytes$/],
  ])('a file that is no subnet.env is refused', async (text, message) => {
    writeFileSync(file, text);
    try {
      await expect(twill('docker', 'network', 'web')).rejects.toMatchObject({
        code: 'host',
        message: expect.stringMatching(message),
      });
    } finally {
      writeFileSync(file, ENV);
    }
  });
});

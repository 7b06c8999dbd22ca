// The files of deploy/ against the program whose settings and ports they repeat.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseEnvironmentFile } from '../../../agent/handoff/environment-file.ts';
import type { Flag } from '../../../agent/options/flag.ts';
import { parseCommandLine } from '../../../agent/options/flag-values.ts';
import { environmentName, FLAGS } from '../../../agent/options/flags.ts';
import { readAgentOptions } from '../../../agent/options.ts';
import { parseUdpOptions } from '../../../backends/udp/options.ts';
import { parseVxlanOptions } from '../../../backends/vxlan/options.ts';

const read = (name: string): string => readFileSync(join('deploy', name), 'utf8');

describe('the settings of the service', () => {
  const text = read('systemd/twill.env');
  const settings = [...text.matchAll(/((?:^# .*\n)+)^#(\w+)=(.*)$/gm)].map(
    ([, comment = '', name, value]) => ({
      name,
      value,
      meaning: comment.replaceAll(/^# /gm, '').replaceAll(/\s+/g, ' ').trim(),
    }),
  );
  const flags = (FLAGS as readonly Flag[]).filter(
    ({ name, group }) =>
      !['kubernetes', 'plan', 'general', 'ignored'].includes(group) && name !== 'public-ipv6',
  );

  it('the settings are all flags that have an effect, with meaning and default', () => {
    expect(settings.slice(1)).toEqual(
      flags.map((flag) => ({
        name: environmentName(flag.name),
        value: flag.kind === 'list' ? '' : String(flag.default),
        meaning: `${flag.value ?? 'true or false'}: ${flag.meaning}.`,
      })),
    );
  });

  it('the settings as they are shipped, and all of their defaults, are the defaults of the agent', async () => {
    const none = await readAgentOptions(parseCommandLine([]), {});
    const shipped = parseEnvironmentFile(text);
    expect(shipped.size).toBe(0);
    const all = parseEnvironmentFile(text.replaceAll(/^#(?=\w+=)/gm, ''));
    expect(all.size).toBe(settings.length);
    expect(await readAgentOptions(parseCommandLine([]), Object.fromEntries(all))).toEqual(none);
  });
});

describe('the scripts of the service', () => {
  const scripts = readdirSync('deploy/systemd', { withFileTypes: true })
    .filter((entry) => entry.isFile() && read(join('systemd', entry.name)).startsWith('#!'))
    .map(({ name }) => name);

  it.each(scripts)('%s is a script of the plain shell', (name) => {
    execFileSync('sh', ['-n', join('deploy/systemd', name)]);
  });

  it('wait-subnet ends at once where there is a subnet', () => {
    const wait = (file: string): string =>
      execFileSync('deploy/systemd/wait-subnet', [file], { encoding: 'utf8', timeout: 5_000 });
    expect(wait('deploy/systemd/twill.env')).toBe('');
    expect(() =>
      execFileSync('deploy/systemd/wait-subnet', [join(tmpdir(), 'nobody')], { timeout: 500 }),
    ).toThrow(/ETIMEDOUT/);
  });
});

describe('the files for other programs', () => {
  it('firewalld opens the default ports of the tunnels', () => {
    const ports = [...read('firewalld/twill.xml').matchAll(/protocol="udp" port="(\d+)"/g)].map(([, port]) =>
      Number(port),
    );
    expect(ports).toEqual([parseVxlanOptions({}, 'x').port, parseUdpOptions({}, 'x').port]);
  });
});

describe('npm run image', () => {
  it.each([
    [[], 'none of docker, podman, buildah works here'],
    [['other'], 'the only arguments are options of the build, such as --build-arg=NODE_IMAGE=…'],
  ])('the command refuses %j on a machine without an engine in one line', (args, complaint) => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/image.mjs', ...args], {
      encoding: 'utf8',
      env: { PATH: '/nowhere' },
      timeout: 10_000,
    });
    expect([status, stderr]).toEqual([1, `image: ${complaint}\n`]);
  });
});

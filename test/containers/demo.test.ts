// The demo with containers of a real engine.
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import { cgroupsOf, processesOf } from '../lab/cgroups.ts';
import { readDocker } from '../lab/engines/dockers.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { sweepLeftovers } from '../lab/sweep.ts';
import { title } from '../support/needs.ts';
import { needsDocker } from './docker-bed.ts';
import { needsPodman, PODMAN_5 } from './podman-bed.ts';

const LIMIT_MS = 80_000;
/** One of the hierarchies of version 1, or the only one of version 2. */
const HIERARCHY = existsSync('/sys/fs/cgroup/freezer') ? '/sys/fs/cgroup/freezer' : '/sys/fs/cgroup';
const SCRIPT = join(PROJECT_ROOT, 'scripts/demo.mjs');
const ENGINES = [
  {
    engine: 'docker',
    name: 'Docker',
    version: '\\d+\\.\\d+\\.\\d+',
    need: needsDocker(await readDocker('sid')),
  },
  { engine: 'podman', name: 'Podman', version: '\\d+', need: needsPodman(PODMAN_5) },
];

/** Namespaces, folders and cgroups of demos. */
async function traces(): Promise<readonly string[]> {
  const names = [...(await readdir('/run/netns')), ...(await readdir(tmpdir())), ...(await cgroupsOf('tw-'))];
  return names.filter((name) => /tw-\d+-demo-/.test(name));
}

for (const { engine, name, version, need } of ENGINES) {
  it.skipIf(need.missing)(
    title(`the demo shows the sources that containers of ${name} see`, need),
    async () => {
      const before = await traces();
      const argv = [SCRIPT, '--engine', engine];
      const { exitCode, stdout, stderr } = await exec(process.execPath, argv, {
        timeoutMs: LIMIT_MS,
        env: process.env,
      });
      expect(stderr).toBe('');
      expect(exitCode, stdout).toBe(0);
      expect(stdout).toMatch(new RegExp(`Containers +${name} ${version}, one a host, c1 10\\.5\\.`));
      expect(stdout).toContain('6 of 6 pairs answer');
      const addressOf = (container: string): string =>
        new RegExp(`${container} (10\\.5\\.\\d+\\.\\d+)`).exec(stdout)?.[1] ?? 'none';
      expect(stdout).toContain(
        `c1 ${addressOf('c1')} sees c2 as ${addressOf('c2')}, c3 as ${addressOf('c3')}\n`,
      );
      expect(await traces()).toEqual(before);
    },
  );
}

const docker = ENGINES[0]?.need;
describe.skipIf(docker?.missing !== false)('a killed demo', () => {
  it('leaves nothing when the next lab has swept, though its dockerds and containers outlived it', async () => {
    const before = await traces();
    const log = join(tmpdir(), `twill-killed-demo-${process.pid}.log`);
    const demo = new LabProcess([process.execPath, SCRIPT, '--engine', 'docker'], log);
    await demo.waitForLine(/ Sources /, LIMIT_MS);
    await demo.stop('SIGKILL');
    const cgroups = await cgroupsOf(`tw-${demo.pid}-demo-`);
    const containers = (await Promise.all(cgroups.map(processesOf))).flat();
    expect(containers.length).toBeGreaterThan(0);
    await sweepLeftovers();
    expect(await traces()).toEqual(before);
    for (const pid of containers) expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
    await rm(log);
  });
});

describe.skipIf(docker?.missing !== false)('a container that its lab left behind', () => {
  it('is found by its cgroup alone', async () => {
    const log = join(tmpdir(), `twill-left-behind-${process.pid}.log`);
    const lab = new LabProcess(['true'], log);
    await lab.waitForExit(5_000);
    const cgroup = join(HIERARCHY, `tw-${lab.pid}-1-h1`);
    await mkdir(cgroup);
    const container = new LabProcess(['sleep', '60'], log);
    await writeFile(join(cgroup, 'cgroup.procs'), String(container.pid));
    await sweepLeftovers();
    expect(await container.waitForExit(5_000)).toMatchObject({ signal: 'SIGKILL' });
    expect(existsSync(cgroup)).toBe(false);
    await rm(log);
  });
});

describe('the options of the demo', () => {
  it('the demo refuses an engine that it does not know', async () => {
    const { exitCode, stderr } = await exec(process.execPath, [SCRIPT, '--engine', 'steam']);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^demo: --engine: must be one of none, docker.*, is "steam"\n$/);
  });
});

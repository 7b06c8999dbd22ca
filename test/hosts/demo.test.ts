// The demo with hosts under systemd: it installs the package and Docker, and leaves nothing behind.
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exec } from '../../agent/base/exec.ts';
import { cgroupsOf } from '../lab/cgroups.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';
import { LabProcess } from '../lab/process.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { NEEDS_HOSTS } from './bed.ts';

const NEED = allOf(NEEDS_HOSTS, needsProgram('npm'), needsProgram('go'));
const SCRIPT = join(PROJECT_ROOT, 'scripts/demo.mjs');
const LIMIT_MS = 85_000;

/** Namespaces, folders and cgroups of demos. */
async function traces(): Promise<readonly string[]> {
  const names = [...(await readdir('/run/netns')), ...(await readdir(tmpdir())), ...(await cgroupsOf('tw-'))];
  return names.filter((name) => /tw-\d+-demo-/.test(name));
}

describe.skipIf(NEED.missing)(title('the demo under systemd', NEED), () => {
  it('shows how the VMs of the Vagrantfile become nodes, and removes them', async () => {
    const before = await traces();
    const { exitCode, stdout, stderr } = await exec(process.execPath, [SCRIPT, '--systemd'], {
      timeoutMs: LIMIT_MS,
      env: process.env,
    });
    expect(stderr).toBe('');
    expect(exitCode, stdout).toBe(0);
    expect(stdout).toContain('3 hosts with systemd, backend vxlan, datastore etcd on n1\n');
    for (const name of ['Packages', 'Hosts', 'n1', 'n2', 'n3'])
      expect(stdout).toMatch(new RegExp(`^ {2}\\d  ${name} .* \\d+\\.\\d\\d s$`, 'm'));
    expect(stdout).toMatch(/ etcd\.sh 192\.168\.77\.1 vxlan +\d+\.\d\d s\n/);
    expect(stdout).toContain("6 of 6 pairs reach each other, and see each other's own address\n");
    expect(stdout).toMatch(/Every container reaches every other one\. \d+\.\d\d s in total\.\n\n$/);
    expect(await traces()).toEqual(before);
  });

  it('is removed by Ctrl-C', async () => {
    const before = await traces();
    const log = join(tmpdir(), `twill-systemd-demo-${process.pid}.log`);
    const running = new LabProcess([process.execPath, SCRIPT, '--systemd'], log);
    await running.waitForLine(/ node\.sh /, LIMIT_MS);
    expect(await running.stop('SIGINT', 20_000)).toMatchObject({ code: 130, signal: null });
    expect(await traces()).toEqual(before);
    await rm(log);
  });
});

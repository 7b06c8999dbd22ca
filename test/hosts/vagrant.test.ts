// The Vagrantfile, and its scripts on three booted hosts.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../lab/namespace.ts';
import { stepsOfVms } from '../lab/systemd/demo-vms.ts';
import { needsProgram, title } from '../support/needs.ts';
import { type Provider, VagrantProject } from './vagrantfile.ts';

const NEEDS_VAGRANT = needsProgram('vagrant');

describe.skipIf(NEEDS_VAGRANT.missing)(title('the Vagrantfile', NEEDS_VAGRANT), () => {
  let project: VagrantProject;
  beforeAll(async () => {
    project = await VagrantProject.make();
  });
  afterAll(() => project.remove());

  it('is Ruby without a warning', async () => {
    expect(await run(['ruby', '-wc', join(project.folder, 'Vagrantfile')])).toBe('Syntax OK\n');
  });

  it.each<Provider>(['libvirt', 'virtualbox'])('is valid for %s', async (provider) => {
    expect(await project.exec(provider, ['validate'])).toEqual({
      exitCode: 0,
      stdout: 'Vagrantfile validated successfully.\n',
      stderr: '',
    });
  });

  it.each([
    ['libvirt', 'debian/trixie64'],
    ['virtualbox', 'bento/debian-13'],
  ] as const)('makes three VMs for %s, by the steps of the demo', async (provider, box) => {
    const addresses = { n1: '192.168.56.11', n2: '192.168.56.12', n3: '192.168.56.13' };
    const steps = stepsOfVms(addresses, 'udp');
    const expected = Object.entries(addresses).map(([name, address]) => [
      name,
      {
        box,
        address,
        copied: {
          '/opt/twill-demo': 'rsync deploy/vagrant',
          '/opt/twill-packages': 'rsync dist/packages',
        },
        steps: (steps[name] ?? []).map((step) => ({
          ...step,
          // The matrix is printed whenever the VMs come up.
          run: step.name === 'matrix' ? 'always' : null,
          path: `deploy/vagrant/${step.name}.sh`,
        })),
      },
    ]);
    expect(await project.read(provider, { TWILL_BACKEND: 'udp' })).toEqual(Object.fromEntries(expected));
  });

  it('takes another box by its name', async () => {
    const vms = await project.read('libvirt', { TWILL_BOX: 'mine' });
    expect(Object.values(vms).map(({ box }) => box)).toEqual(['mine', 'mine', 'mine']);
  });

  it.each(['pigeon', ''])('refuses the backend "%s" before any VM starts', async (backend) => {
    const stderr = `TWILL_BACKEND must be one of vxlan, host-gw, udp, is "${backend}"\n`;
    const result = await project.exec('virtualbox', ['up'], { TWILL_BACKEND: backend });
    expect(result).toEqual({ exitCode: 1, stdout: '', stderr });
    expect(await project.vboxCalls()).not.toMatch(/import|create|start/);
  });

  it('refuses to bring a VM up without a package, and names the command that makes it', async () => {
    const { exitCode, stdout, stderr } = await project.exec('virtualbox', ['up']);
    expect(exitCode).toBe(1);
    expect(stdout + stderr).toContain(
      'dist/packages has no package twill_*.deb: run `npm run package` first\n',
    );
    expect(await project.vboxCalls()).not.toMatch(/import|create|start/);
    expect((await project.exec('virtualbox', ['status'])).exitCode).toBe(0);
    // With a package Vagrant goes on to the box, which nobody has here.
    await mkdir(join(project.folder, 'dist/packages'), { recursive: true });
    await writeFile(join(project.folder, 'dist/packages/twill_1_amd64.deb'), '');
    const further = await project.exec('virtualbox', ['up'], { TWILL_BOX: 'twill/none' });
    expect(further.stdout + further.stderr).toContain("Box 'twill/none' could not be found");
  });
});

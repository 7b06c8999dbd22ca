// The Vagrantfile, and its scripts on three booted hosts.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExecResult } from '../../agent/base/exec.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { run } from '../lab/namespace.ts';
import { readChapter, sectionsIn } from '../lab/page.ts';
import {
  bootDemoVms,
  buildPackages,
  type DemoVm,
  plugIn,
  runStep,
  stepsOfVms,
} from '../lab/systemd/demo-vms.ts';
import { allOf, needsProgram, title } from '../support/needs.ts';
import { HOSTS, NEEDS_HOSTS, subnetOf } from './bed.ts';
import { PROVIDERS, VagrantProject } from './vagrantfile.ts';

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

  it.each(PROVIDERS)('is valid for %s, with the variables of README', async (provider) => {
    const [{ steps } = { steps: [] }] = sectionsIn(await readChapter('Three VMs with Vagrant'));
    const lines = steps.flatMap(({ script }) => script.trim().split('\n'));
    const set = lines
      .map((line) => /^(TWILL_\w+)=(\S+) vagrant up$/.exec(line))
      .filter((found) => found !== null);
    expect(lines).toEqual([
      'npm run package',
      'vagrant up',
      ...set.map(([line]) => line),
      'npm run demo -- --systemd',
    ]);
    const variables = Object.fromEntries(set.map(([, name = '', value = '']) => [name, value]));
    expect(Object.keys(variables)).toEqual(['TWILL_BACKEND', 'TWILL_BOX']);
    expect(await project.exec(provider, ['validate'], variables)).toEqual({
      exitCode: 0,
      stdout: 'Vagrantfile validated successfully.\n',
      stderr: '',
    });
  });

  it('makes three VMs by the steps of the demo, with a box for each provider', async () => {
    const addresses = { n1: '192.168.56.11', n2: '192.168.56.12', n3: '192.168.56.13' };
    const steps = stepsOfVms(addresses, 'udp');
    const expected = (box: string): object =>
      Object.fromEntries(
        Object.entries(addresses).map(([name, address]) => [
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
        ]),
      );
    expect(await project.read({ TWILL_BACKEND: 'udp' })).toEqual({
      libvirt: expected('debian/trixie64'),
      virtualbox: expected('bento/debian-13'),
    });
  });

  it('takes another box by its name', async () => {
    const { libvirt, virtualbox } = await project.read({ TWILL_BOX: 'mine' });
    const vms = [...Object.values(libvirt), ...Object.values(virtualbox)];
    expect(new Set(vms.map(({ box }) => box))).toEqual(new Set(['mine']));
  });

  it('refuses a wrong backend before any VM starts', async () => {
    expect(await project.exec('virtualbox', ['up'], { TWILL_BACKEND: 'pigeon' })).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'TWILL_BACKEND must be one of vxlan, host-gw, udp, is "pigeon"\n',
    });
    expect(await project.vboxCalls()).not.toMatch(/import|create|start/);
  });

  it('refuses to bring a VM up without a package, and names the command that makes it', async () => {
    const { exitCode, stdout, stderr } = await project.exec('virtualbox', ['up']);
    expect(exitCode).toBe(1);
    expect(stdout + stderr).toContain(
      'dist/packages has no package twill_*.deb: run `npm run package` first\n',
    );
    expect(await project.vboxCalls()).not.toMatch(/import|create|start/);
    // With a package Vagrant goes on to the box, which nobody has here.
    await mkdir(join(project.folder, 'dist/packages'), { recursive: true });
    await writeFile(join(project.folder, 'dist/packages/twill_1_amd64.deb'), '');
    const further = await project.exec('virtualbox', ['up'], { TWILL_BOX: 'twill/none' });
    expect(further.stdout + further.stderr).toContain("Box 'twill/none' could not be found");
  });
});

const NEEDS_VMS = allOf(NEEDS_HOSTS, needsProgram('npm'), needsProgram('go'));
const UNITS = ['twill.service', 'docker.service', 'twill-demo.service', 'etcd.service'];

describe.skipIf(NEEDS_VMS.missing)(title('the scripts of the VMs', NEEDS_VMS), () => {
  let lab: Lab;
  let vms: readonly DemoVm[];
  const vm = (name: string): DemoVm => {
    const found = vms.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no VM ${name}`);
    return found;
  };
  /** Runs the steps of a VM, and returns what they print. */
  const up = async (name: string): Promise<string> => {
    const texts = [];
    for (const step of vm(name).steps) {
      const { exitCode, stdout, stderr } = await runStep(vm(name), step);
      expect(exitCode, `${name} ${step.name}: ${stdout}${stderr}`).toBe(0);
      texts.push(stdout);
    }
    return texts.join('');
  };
  const runMatrix = (name: string): Promise<ExecResult> =>
    runStep(vm(name), { name: 'matrix', args: vm(name).steps.at(-1)?.args ?? [] });

  beforeAll(async () => {
    lab = await openLab({ hosts: 3 });
    const packages = await buildPackages(join(lab.folder, 'packages'));
    vms = await bootDemoVms(lab, HOSTS[1]?.folder ?? '', packages, 'udp');
  });
  afterAll(() => lab?.close());

  it('make three nodes in any order, and the last VM prints that each container reaches each other one', async () => {
    await plugIn(vm('n3'));
    expect(await up('n3')).toBe(
      'not up yet: n1 n2. The last VM that comes up prints which container reaches which\n',
    );
    await plugIn(vm('n2'));
    expect(await up('n2')).toBe(
      'not up yet: n1. The last VM that comes up prints which container reaches which\n',
    );
    await plugIn(vm('n1'));
    const text = await up('n1');
    const lines = text.split('\n');
    expect(lines[2]).toMatch(/^ +n1 +n2 +n3$/);
    const address = '10\\.5\\.\\d+\\.2';
    const ms = '\\d+\\.\\d+';
    expect(lines[3]).toMatch(new RegExp(`^n1 +${address} +- +${ms} +${ms}$`));
    expect(lines[4]).toMatch(new RegExp(`^n2 +${address} +${ms} +- +${ms}$`));
    expect(lines[5]).toMatch(new RegExp(`^n3 +${address} +${ms} +${ms} +-$`));
    expect(text).toContain("6 of 6 pairs reach each other, and see each other's own address\n");
    // The backend is the one that was asked for.
    expect(await vm('n2').system.run('ip', 'route')).toMatch(/^10\.5\.\d+\.0\/24 dev flannel0 /m);
  });

  it('change nothing the second time', async () => {
    const state = async (): Promise<readonly string[]> => {
      const { system } = vm('n1');
      const units = await Promise.all(UNITS.map((unit) => system.show(unit, 'MainPID,NRestarts')));
      return [...units, await system.run('docker', 'ps', '--no-trunc', '--quiet')];
    };
    const before = await state();
    await vm('n1').system.run('touch', '/run/before');
    expect(await up('n1')).toContain('the network is there: ');
    expect(await state()).toEqual(before);
    const places = ['/etc', '/usr', '/opt', '/var/lib/twill-demo'];
    const newer = ['find', ...places, '-type', 'f', '-newer', '/run/before'];
    expect(await vm('n1').system.run(...newer)).toBe('');
  });

  it('a changed package is installed, and the containers keep running', async () => {
    const { system } = vm('n2');
    const container = await system.run('docker', 'ps', '--no-trunc', '--quiet');
    const agent = await system.show('twill.service', 'MainPID');
    await system.run('sh', '-c', 'echo >> /var/lib/twill-demo/twill.deb');
    expect(await up('n2')).toContain('6 of 6 pairs');
    await system.waitFor('twill.service', 'MainPID', new RegExp(`^(?!${agent}$|0$)`));
    expect(await system.run('docker', 'ps', '--no-trunc', '--quiet')).toBe(container);
  });

  it('a VM that was halted has its container again', async () => {
    await vm('n3').system.reboot();
    expect((await runMatrix('n3')).stdout).toContain('6 of 6 pairs');
  });

  it('the matrix shows who is seen with another address, and who is lost', async () => {
    const { system } = vm('n2');
    const subnet = await subnetOf(system);
    const source = ['--source', '10.5.0.0/16'];
    const toUs = ['--destination', `${subnet}.2`];
    const withRule = async (table: string, chain: string, ...rule: readonly string[]) => {
      await system.run('iptables', '--table', table, '--insert', chain, ...rule);
      const result = await runMatrix('n1');
      await system.run('iptables', '--table', table, '--delete', chain, ...rule);
      return result;
    };
    const rewritten = await withRule('nat', 'POSTROUTING', ...source, ...toUs, '--jump', 'MASQUERADE');
    expect(rewritten.exitCode).toBe(1);
    expect(rewritten.stdout).toMatch(new RegExp(`^n1 .*- +as ${subnet}\\.1 +\\d`, 'm'));
    expect(rewritten.stdout).toContain('4 of 6 pairs reach each other');
    const fromOthers = ['--in-interface', 'flannel0', '--jump', 'DROP'];
    const cut = await withRule('raw', 'PREROUTING', ...source, ...fromOthers);
    expect(cut.exitCode).toBe(1);
    expect(cut.stdout).toMatch(/^n1 .* - +lost +\d/m);
    expect(cut.stdout).toMatch(/^n2 .* lost +- +lost$/m);
    expect(cut.stdout).toContain('2 of 6 pairs reach each other');
    expect(await runMatrix('n1')).toMatchObject({ exitCode: 0 });
  });

  it('ask apt for the packages that are missing, and no more', async () => {
    const script = `
      . /opt/twill-demo/functions.sh
      mkdir /run/bin
      printf '#!/bin/sh\\necho "$@" >> /run/apt-calls\\n' > /run/bin/apt-get
      chmod 755 /run/bin/apt-get
      PATH=/run/bin:$PATH
      install_packages nodejs docker.io
      install_packages nodejs twill-none busybox-static twill-nor
      grep -o ' install .*' /run/apt-calls`;
    expect(await vm('n3').system.run('sh', '-euc', script)).toBe(
      'install -y --no-install-recommends twill-none twill-nor',
    );
  });

  it('say what is missing where there is no package', async () => {
    const { system } = vm('n3');
    await rm(system.path('/opt/twill-packages'), { recursive: true });
    await mkdir(system.path('/opt/twill-packages'));
    const [node = { name: '', args: [] }] = vm('n3').steps;
    expect(await runStep(vm('n3'), node)).toEqual({
      exitCode: 1,
      stdout: '',
      stderr:
        'node.sh: /opt/twill-packages/twill_*_amd64.deb is not one package: run `npm run package` and `vagrant rsync` on the host\n',
    });
  });
});

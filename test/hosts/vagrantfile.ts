// The Vagrantfile as Vagrant itself reads it. No VM starts: a stand-in for VirtualBox says its version alone.
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExecResult, exec } from '../../agent/base/exec.ts';
import { run } from '../lab/namespace.ts';
import { PROJECT_ROOT } from '../lab/paths.ts';

export const PROVIDERS = ['libvirt', 'virtualbox'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** A VM of the Vagrantfile. */
export interface VagrantVm {
  readonly box: string;
  /** Its address between the VMs. */
  readonly address: string;
  /** Each folder of the VM that is a copy of one here, with that one. */
  readonly copied: Readonly<Record<string, string>>;
  readonly steps: readonly {
    readonly name: string;
    readonly run: string | null;
    readonly path: string;
    readonly args: readonly string[];
  }[];
}

/** By the name of the VM. */
export type VagrantVms = Readonly<Record<Provider, Readonly<Record<string, VagrantVm>>>>;

const LIMIT_MS = 60_000;
const VBOX_MANAGE = `#!/bin/sh
echo "$*" >> "$VBOX_CALLS"
case $1 in --version) echo 7.0.20r163906 ;; esac
`;
const READ = `
require 'vagrant'
require 'json'
env = Vagrant::Environment.new
puts JSON.generate(ARGV.to_h { |provider|
  [provider, env.machine_names.to_h { |name|
    vm = env.vagrantfile.machine_config(name, provider.to_sym, nil, nil)[:config].vm
    folders = vm.synced_folders.values.reject { |folder| folder[:disabled] }
    [name, {
      box: vm.box,
      address: vm.networks.to_h.fetch(:private_network)[:ip],
      copied: folders.to_h { |folder| [folder[:guestpath], "#{folder[:type]} #{folder[:hostpath]}"] },
      steps: vm.provisioners.map { |step|
        { name: step.name, run: step.run, path: step.config.path, args: step.config.args }
      },
    }]
  }]
})
`;

/** A project with the Vagrantfile and its scripts, and without packages. */
export class VagrantProject {
  readonly folder: string;
  readonly #calls: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#calls = join(folder, 'vbox-calls');
  }

  static async make(): Promise<VagrantProject> {
    const project = new VagrantProject(await mkdtemp(join(tmpdir(), 'twill-vagrant-')));
    await cp(join(PROJECT_ROOT, 'Vagrantfile'), join(project.folder, 'Vagrantfile'));
    await cp(join(PROJECT_ROOT, 'deploy'), join(project.folder, 'deploy'), { recursive: true });
    await mkdir(join(project.folder, 'bin'));
    await writeFile(join(project.folder, 'bin/VBoxManage'), VBOX_MANAGE);
    await chmod(join(project.folder, 'bin/VBoxManage'), 0o755);
    await writeFile(project.#calls, '');
    return project;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  #env(provider: Provider, more: Readonly<Record<string, string>>): Record<string, string> {
    return {
      PATH: `${join(this.folder, 'bin')}:${process.env['PATH'] ?? ''}`,
      HOME: this.folder,
      VAGRANT_HOME: join(this.folder, 'home'),
      VAGRANT_DEFAULT_PROVIDER: provider,
      VAGRANT_CHECKPOINT_DISABLE: '1',
      VBOX_CALLS: this.#calls,
      ...more,
    };
  }

  /** Runs `vagrant` with any exit code. */
  exec(
    provider: Provider,
    args: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ): Promise<ExecResult> {
    const argv = ['-C', this.folder, 'vagrant', ...args];
    return exec('env', argv, { timeoutMs: LIMIT_MS, env: this.#env(provider, more) });
  }

  /** The VMs of each provider as Vagrant would make them. */
  async read(more: Readonly<Record<string, string>> = {}): Promise<VagrantVms> {
    const argv = ['env', '-C', this.folder, 'ruby', '-e', READ, ...PROVIDERS];
    const text = await run(argv, { timeoutMs: LIMIT_MS, env: this.#env('libvirt', more) });
    return JSON.parse(text) as VagrantVms;
  }

  /** The command lines that VirtualBox was given. */
  vboxCalls(): Promise<string> {
    return run(['cat', this.#calls]);
  }
}

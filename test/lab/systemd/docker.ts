// Debian's own Docker on a booted host: its packages are in the root, and this does what their scripts would do. Its
// containers come back after a reboot.
import { copyFile } from 'node:fs/promises';
import type { EngineContainer } from '../engines/engine.ts';
import { IMAGE, imageFile, SERVE } from '../engines/image.ts';
import { namespaceAt } from '../namespace.ts';
import type { System } from './system.ts';

/** The unit of dockerd. */
export const DOCKER: string = 'docker.service';

const UNITS = ['containerd.service', 'docker.socket', DOCKER];
/** A path of the host. */
const IMAGE_FILE = '/var/tmp/image.tar';

/** Docker of a host, once it is installed. */
export class SystemDocker {
  readonly system: System;

  constructor(system: System) {
    this.system = system;
  }

  /** Makes the units start with the host, and starts nothing. */
  async install(): Promise<void> {
    await this.system.run('groupadd', '--system', '--force', 'docker');
    await this.system.run('systemctl', '--quiet', 'enable', ...UNITS);
  }

  /** Runs `docker` and returns its output. Throws with the output if it fails. */
  cli(...args: readonly string[]): Promise<string> {
    return this.system.run('docker', ...args);
  }

  /** Loads the lab's image into a dockerd that runs. */
  async loadImage(): Promise<void> {
    await copyFile(imageFile(), this.system.path(IMAGE_FILE));
    await this.cli('import', IMAGE_FILE, IMAGE);
  }

  /** Starts a container with the web server of the image. `options` are those of `docker run`. */
  async run(name: string, ...options: readonly string[]): Promise<EngineContainer> {
    // The first process of a container ignores a signal that it does not catch, except this one.
    await this.cli('run', '-d', '--name', name, '--stop-signal', 'SIGKILL', ...options, IMAGE, ...SERVE);
    return this.container(name);
  }

  /** A container that runs, on Docker's default network. Another one stands for it after a restart. */
  async container(name: string): Promise<EngineContainer> {
    const format = '{{.State.Pid}} {{.NetworkSettings.IPAddress}}';
    const text = await this.cli('inspect', '--type', 'container', '--format', format, name);
    const [pid, address = ''] = text.split(' ');
    if (pid === '0' || address === '') throw new Error(`container ${name} does not run: ${text}`);
    return {
      name,
      address,
      namespace: namespaceAt(name, this.system.path(`/proc/${pid}/ns/net`)),
      exec: (argv) => this.cli('exec', name, ...argv),
      remove: async () => void (await this.cli('rm', '--force', name)),
    };
  }
}

// A real dockerd on a host of the lab. Its socket and its state are in the host's own /run and /etc, its containers in
// a cgroup of the lab: closing the lab removes all of it, also after a crash.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecResult } from '../../../agent/base/exec.ts';
import type { Host } from '../host.ts';
import { namespaceOfProcess } from '../namespace.ts';
import type { LabProcess } from '../process.ts';
import { waitFor } from '../wait.ts';
import type { DockerRelease } from './dockers.ts';
import type { Engine, EngineContainer } from './engine.ts';
import { IMAGE, imageFile, SERVE } from './image.ts';
import { givePrivateEtc } from './private-etc.ts';

export interface DockerOptions {
  /** Flags of dockerd: `--bip=10.5.34.1/24`. */
  readonly flags: readonly string[];
  /** Whether dockerd alone finds iptables-legacy as iptables. Default false. */
  readonly legacyIptables?: boolean;
}

export interface RunOptions {
  /** Options of `docker run`: `-p`, `8080:80`. */
  readonly options?: readonly string[];
  /** Default: the web server of the image. */
  readonly command?: readonly string[];
}

const START_MS = 15_000;
const CLI_MS = 30_000;
const STOP_MS = 20_000;

export class Docker implements Engine {
  readonly title: string;
  readonly host: Host;
  readonly #env: Readonly<Record<string, string>>;
  #process: LabProcess | undefined;

  constructor(host: Host, title: string, env: Readonly<Record<string, string>>) {
    this.host = host;
    this.title = title;
    this.#env = env;
  }

  /** The dockerd that was started last. */
  get process(): LabProcess {
    if (this.#process === undefined) throw new Error(`dockerd of ${this.host.name} was not started`);
    return this.#process;
  }

  /** Starts dockerd, and waits until its API answers. */
  async start(flags: readonly string[]): Promise<void> {
    const { host } = this;
    const own = [
      `--data-root=${join(host.folder, `${host.name}-docker`)}`,
      '--exec-opt=native.cgroupdriver=cgroupfs',
      `--cgroup-parent=/${host.fullName}`,
    ];
    const process = host.start('dockerd', ['dockerd', ...own, ...flags], this.#env);
    this.#process = process;
    await waitFor(`dockerd answers on ${host.name}`, START_MS, async () => {
      if (!process.isRunning) throw new Error(await process.epitaph());
      return (await this.exec(['version'])).exitCode === 0;
    });
  }

  /** Runs `docker` with any exit code. */
  exec(args: readonly string[]): Promise<ExecResult> {
    return this.host.namespace.exec(['docker', ...args], { timeoutMs: CLI_MS, env: this.#env });
  }

  /** Runs `docker` and returns its output. Throws with the output if it fails. */
  async cli(...args: readonly string[]): Promise<string> {
    const argv = ['docker', ...args];
    return (await this.host.namespace.run(argv, { timeoutMs: CLI_MS, env: this.#env })).trim();
  }

  /** Starts a container. Its address is that of the first network that has one. */
  async run(name: string, { options = [], command = SERVE }: RunOptions = {}): Promise<EngineContainer> {
    // The first process of a container ignores a signal that it does not catch, except this one.
    const start = ['run', '-d', '--name', name, '--stop-signal', 'SIGKILL'];
    await this.cli(...start, ...options, IMAGE, ...command);
    return this.container(name);
  }

  /** A container that runs. */
  async container(name: string): Promise<EngineContainer> {
    const [found] = JSON.parse(await this.cli('inspect', '--type', 'container', name)) as [Inspected];
    const addresses = Object.values(found.NetworkSettings.Networks).map(({ IPAddress }) => IPAddress);
    return {
      name,
      address: addresses.find((address) => address !== '') ?? '',
      namespace: namespaceOfProcess(name, found.State.Pid),
      exec: (argv) => this.cli('exec', name, ...argv),
      remove: async () => void (await this.cli('rm', '-f', name)),
    };
  }

  /** Stops dockerd and its containers. */
  async stop(): Promise<void> {
    await this.process.stop('SIGTERM', STOP_MS);
  }

  /** Stops dockerd, and starts it with these flags. */
  async restart(flags: readonly string[]): Promise<void> {
    await this.stop();
    await this.start(flags);
  }
}

interface Inspected {
  readonly State: { readonly Pid: number };
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> };
}

/** Starts dockerd on a host. The host's docker0 goes: dockerd makes its own. */
export async function startDocker(
  host: Host,
  release: DockerRelease,
  { flags, legacyIptables = false }: DockerOptions,
): Promise<Docker> {
  await givePrivateEtc(host);
  await mkdir(host.path('/etc/docker'), { recursive: true });
  // The machine's own settings are below.
  await writeFile(host.path('/etc/docker/daemon.json'), '{}');
  const links = legacyIptables ? ['/run/legacy'] : [];
  if (legacyIptables) await linkLegacy(host);
  const path = [...links, ...release.path, process.env['PATH']].join(':');
  const docker = new Docker(host, release.title, { PATH: path, DOCKER_CONFIG: '/run/docker-cli' });
  await host.namespace.exec(['ip', 'link', 'delete', 'docker0']);
  await docker.start(flags);
  await docker.cli('import', imageFile(), IMAGE);
  return docker;
}

async function linkLegacy({ namespace }: Host): Promise<void> {
  await namespace.run(['mkdir', '-p', '/run/legacy']);
  for (const name of ['iptables', 'ip6tables'])
    await namespace.run(['ln', '-s', `/usr/sbin/${name}-legacy`, `/run/legacy/${name}`]);
}

// A real Podman on a host of the lab: its files, its processes and its containers are in a root of its own. The host
// shares the folder of network files with it, so that an agent can write one.
import { copyFile, writeFile } from 'node:fs/promises';
import type { Host } from '../host.ts';
import { namespaceAt } from '../namespace.ts';
import type { Engine, EngineContainer } from './engine.ts';
import { IMAGE, imageFile, SERVE } from './image.ts';
import type { PodmanRelease } from './podmans.ts';
import { PrivateRoot } from './private-root.ts';

/** The folder, on the host, of Podman's network files: those of netavark, or conflists of CNI. */
export const NETWORK_FILES = '/run/podman-networks';

export interface PodmanOptions {
  /** Default: netavark. */
  readonly backend?: 'netavark' | 'cni';
  /** netavark's; default: its own choice. */
  readonly firewall?: 'iptables' | 'nftables';
  /** The network of containers whose options name none. Default: Podman's own, `podman`. */
  readonly network?: string;
}

const IMAGE_FILE = '/tmp/image.tar';

/** Podman, as one user sees it. */
export class Podman implements Engine {
  readonly title: string;
  readonly host: Host;
  readonly root: PrivateRoot;
  readonly #isRootless: boolean;

  constructor(host: Host, title: string, root: PrivateRoot, isRootless = false) {
    this.host = host;
    this.title = title;
    this.root = root;
    this.#isRootless = isRootless;
  }

  /** Runs `podman` and returns its output. Throws with the output if it fails. */
  async cli(...args: readonly string[]): Promise<string> {
    return (await this.root.run(['podman', ...args], { isRootless: this.#isRootless })).trim();
  }

  /** Starts a container with the web server of the image. `options` are those of `podman run`. */
  run(name: string, ...options: readonly string[]): Promise<EngineContainer> {
    return this.runWith(name, SERVE, ...options);
  }

  /** Starts a container with another program of the image. */
  async runWith(
    name: string,
    command: readonly string[],
    ...options: readonly string[]
  ): Promise<EngineContainer> {
    await this.cli('run', '--detach', '--name', name, ...options, IMAGE, ...command);
    return this.container(name);
  }

  /** A container that runs. Its address is the first one that is not its host's. */
  async container(name: string): Promise<EngineContainer> {
    const pid = await this.cli('inspect', '--type', 'container', '--format', '{{.State.Pid}}', name);
    const namespace = namespaceAt(name, this.root.path(`/proc/${pid}/ns/net`));
    const text = await namespace.run(['ip', '-4', '-o', 'address', 'show', 'scope', 'global']);
    return {
      name,
      address: /inet ([\d.]+)\//.exec(text)?.[1] ?? '',
      namespace,
      exec: (argv) => this.cli('exec', name, ...argv),
      remove: async () => void (await this.cli('rm', '--force', '--time', '0', name)),
    };
  }

  /** The Podman of a user without rights, in the same root. */
  async rootless(): Promise<Podman> {
    const podman = new Podman(this.host, `${this.title} without root`, this.root, true);
    await podman.cli('import', '--quiet', IMAGE_FILE, IMAGE);
    return podman;
  }

  /** Ends the containers, and all else that runs in the root. */
  async stop(): Promise<void> {
    await this.root[Symbol.asyncDispose]();
  }
}

/** Makes a Podman with its image on a host. */
export async function startPodman(
  host: Host,
  release: PodmanRelease,
  options: PodmanOptions = {},
): Promise<Podman> {
  const files = options.backend === 'cni' ? '/etc/cni/net.d' : '/etc/containers/networks';
  const root = await PrivateRoot.open(host, release.folder, NETWORK_FILES, files);
  try {
    await writeFile(root.path('/etc/containers/containers.conf'), configuration(options));
    await copyFile(imageFile(), root.path(IMAGE_FILE));
    const podman = new Podman(host, release.title, root);
    await podman.cli('import', '--quiet', IMAGE_FILE, IMAGE);
    return podman;
  } catch (error) {
    await root[Symbol.asyncDispose]();
    throw error;
  }
}

// Without cgroups nothing of a container outlives its processes. The limits are those that any machine can give.
function configuration({ backend, firewall, network }: PodmanOptions): string {
  const lines = [
    '[containers]',
    'cgroups = "disabled"',
    'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]',
    '[engine]',
    'cgroup_manager = "cgroupfs"',
    'events_logger = "file"',
    'runtime = "crun"',
    '[network]',
    `network_backend = "${backend ?? 'netavark'}"`,
    ...(firewall === undefined ? [] : [`firewall_driver = "${firewall}"`]),
    ...(network === undefined ? [] : [`default_network = "${network}"`]),
  ];
  return `${lines.join('\n')}\n`;
}

// The parts that the container image of the agent is built of in a network that leads nowhere: a Debian without the
// programs that its Dockerfile installs, whose apt finds them in a folder, and the Node.js of this machine.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../namespace.ts';
import { PROJECT_ROOT } from '../paths.ts';
import { type DebianRoot, fillRoot, rootFailure, rootFolder } from './debian-root.ts';

const ESSENTIAL = `apt base-files base-passwd bash bsdutils coreutils dash debconf debianutils diffutils dpkg findutils
  grep gzip hostname init-system-helpers libc-bin mawk mount ncurses-bin passwd perl-base sed sysvinit-utils tar
  util-linux`;

/** As much as Debian's own images have, and documentation beside it. */
const BASE_ROOT: DebianRoot = {
  name: 'base',
  suite: 'trixie',
  packages: ESSENTIAL.split(/\s+/),
  isWhole: true,
  offered: ['iptables', 'libstdc++6', 'nftables'],
};

/** Unpacks the base, if it is missing. */
export function fillImageCache(say: (line: string) => void): Promise<void> {
  return fillRoot(BASE_ROOT, say);
}

export interface ImageBase {
  /** Why there is none, on one line; undefined: there is one. */
  readonly missing: string | undefined;
  readonly folder: string;
}

export async function readImageBase(): Promise<ImageBase> {
  const failure = await rootFailure(BASE_ROOT);
  const missing =
    failure === undefined ? undefined : `needs packages of Debian ${BASE_ROOT.suite}: ${failure}`;
  return { missing, folder: rootFolder(BASE_ROOT) };
}

/** The file of `npm run image`. */
const IMAGE_PROGRAM = join(PROJECT_ROOT, 'scripts/image.mjs');
const BUILD_MS = 170_000;

/** An image that `npm run image` has built. Its engine's state is in a folder. */
export class AgentImage {
  /** Its name. */
  readonly name: string;
  readonly #env: Readonly<Record<string, string>>;
  #container: string | undefined;

  private constructor(name: string, env: Readonly<Record<string, string>>) {
    this.name = name;
    this.#env = env;
  }

  /** Makes the bases in `folder`, which need not exist. */
  static async open(folder: string, { folder: root }: ImageBase): Promise<AgentImage> {
    const { version } = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8'));
    const settings = join(folder, 'storage.conf');
    await mkdir(join(folder, 'programs'), { recursive: true });
    // Copies of whole trees: an overlay would leave a mount behind when the test is killed.
    const places = ['graphroot', 'runroot'].map((name) => `${name} = "${join(folder, name)}"\n`);
    await writeFile(settings, `[storage]\ndriver = "vfs"\n${places.join('')}`);
    // The machine's own engines are left alone.
    for (const name of ['docker', 'podman'])
      await writeFile(join(folder, 'programs', name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const cache = process.env['XDG_CACHE_HOME'];
    const image = new AgentImage(`twill:${version}`, {
      PATH: `${join(folder, 'programs')}:${process.env['PATH']}`,
      ...(cache === undefined ? {} : { XDG_CACHE_HOME: cache }),
      CONTAINERS_STORAGE_CONF: settings,
      BUILDAH_ISOLATION: 'chroot',
    });
    await run(['tar', '-C', root, '-cf', join(folder, 'base.tar'), '.']);
    await image.#commit('lab-debian', [join(folder, 'base.tar'), '/']);
    await image.#commit('lab-node', [process.execPath, '/usr/local/bin/node']);
    return image;
  }

  /** Builds it, and returns the output and the id. */
  async build(): Promise<{ readonly output: string; readonly id: string }> {
    const bases = ['NODE_IMAGE=lab-node', 'DEBIAN_IMAGE=lab-debian'].map((base) => `--build-arg=${base}`);
    const argv = [process.execPath, IMAGE_PROGRAM, '--quiet', '--pull=never', ...bases];
    const output = await run(argv, { timeoutMs: BUILD_MS, env: this.#env });
    return { output, id: await this.buildah('images', '--no-trunc', '--quiet', this.name) };
  }

  /** Runs a script in a container, the same one for all scripts: each costs a copy of the image. */
  async sh(script: string): Promise<string> {
    this.#container ??= await this.buildah('from', '--pull=never', this.name);
    return this.buildah('run', this.#container, '--', 'sh', '-c', script);
  }

  /** Writes an archive for `docker load`. */
  async save(file: string, name = this.name): Promise<void> {
    await this.buildah('push', '--quiet', name, `docker-archive:${file}:${name}`);
  }

  /** Makes an image of that name with these programs beside its own, at the root. */
  async extend(name: string, programs: readonly string[]): Promise<void> {
    const container = await this.buildah('from', '--pull=never', this.name);
    await this.buildah('add', '--quiet', container, ...programs, '/');
    await this.buildah('commit', '--quiet', container, name);
    await this.buildah('rm', container);
  }

  async buildah(...args: readonly string[]): Promise<string> {
    return (await run(['buildah', ...args], { timeoutMs: BUILD_MS, env: this.#env })).trim();
  }

  async #commit(name: string, add: readonly string[]): Promise<void> {
    const container = await this.buildah('from', 'scratch');
    await this.buildah('add', '--quiet', container, ...add);
    await this.buildah('commit', '--quiet', container, name);
    await this.buildah('rm', container);
  }
}

// The releases of Docker that the lab can start. They are Debian's packages, unpacked, and run beside the libraries of
// the machine. runc is the one of Debian 12 for all: later ones need a newer C library.
import { join } from 'node:path';
import type { SubnetEnv } from '../host.ts';
import { run } from '../namespace.ts';
import { type DebianRoot, rootFailure, rootFolder } from './debian-root.ts';
import { BUSYBOX_ROOT } from './image.ts';

export interface DockerRelease {
  /** `Docker 28.5.2`; without its programs `Docker of Debian sid`. */
  readonly title: string;
  /** Why it cannot be started, on one line; undefined: it can. */
  readonly missing: string | undefined;
  /** Its folders of programs, in the order of PATH. */
  readonly path: readonly string[];
  /** Whether dockerd has that flag, such as `--allow-direct-routing`. */
  readonly has: (flag: string) => boolean;
}

export type DockerSuite = DebianRoot['suite'];

const RUNC_ROOT: DebianRoot = { name: 'runc', suite: 'bookworm', packages: ['runc'], isWhole: false };

const dockerRoot = (suite: DockerSuite, ...packages: readonly string[]): DebianRoot => ({
  name: 'docker',
  suite,
  packages: ['containerd', 'docker.io', ...packages],
  isWhole: false,
});

const DOCKER_ROOTS: Readonly<Record<DockerSuite, DebianRoot>> = {
  bookworm: dockerRoot('bookworm'),
  trixie: dockerRoot('trixie', 'docker-cli'),
  sid: dockerRoot('sid', 'docker-cli'),
};

export const DOCKER_SUITES = Object.keys(DOCKER_ROOTS) as readonly DockerSuite[];

/** The folders that a release of Docker is made of, in the order of PATH. */
export function rootsOfDocker(suite: DockerSuite): readonly DebianRoot[] {
  return [DOCKER_ROOTS[suite], RUNC_ROOT];
}

/** Looks at the unpacked Docker of that Debian release. */
export async function readDocker(suite: DockerSuite): Promise<DockerRelease> {
  const roots = rootsOfDocker(suite);
  const folders = roots.map(rootFolder);
  const path = folders.flatMap((folder) => ['usr/sbin', 'usr/bin'].map((part) => join(folder, part)));
  const absent = { title: `Docker of Debian ${suite}`, path, has: () => false };
  for (const root of [...roots, BUSYBOX_ROOT]) {
    const failure = await rootFailure(root);
    if (failure !== undefined)
      return { ...absent, missing: `needs packages of Debian ${root.suite}: ${failure}` };
  }
  const env = { PATH: [...path, process.env['PATH']].join(':') };
  const version = await run(['dockerd', '--version'], { env });
  const help = await run(['dockerd', '--help'], { env });
  return {
    title: `Docker ${/\d+\.\d+\.\d+/.exec(version)?.[0] ?? version.trim()}`,
    missing: undefined,
    path,
    has: (flag) => new RegExp(`^\\s*(?:-\\w, )?${flag}\\b`, 'm').test(help),
  };
}

/** The flags of dockerd that README gives. */
export function dockerFlags({ subnet, mtuBytes }: SubnetEnv): readonly string[] {
  return [`--bip=${subnet}`, `--mtu=${mtuBytes}`, '--ip-masq=false'];
}

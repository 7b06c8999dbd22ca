// CNI's plugins, and flannel's, for hosts without a container engine. Those of CNI are Debian's. flannel's is built
// once from the last release of CNI's plugins that holds it: not every module proxy has its later repository.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buildFailure, buildOnce, type GoProgram, goCacheFolder } from '../go-program.ts';
import { type DebianRoot, fillRoot, rootFailure, rootFolder } from './debian-root.ts';

const MODULE = 'github.com/containernetworking/plugins';
const VERSION = '0.9.1';
const ROOT: DebianRoot = {
  name: 'cni',
  suite: 'bookworm',
  packages: ['containernetworking-plugins'],
  isWhole: false,
};

const FLANNEL: GoProgram = {
  title: `flannel's CNI plugin ${VERSION}`,
  // A runtime finds a plugin by the name of its file.
  path: join(goCacheFolder('flannel'), `cni-${VERSION}`, 'flannel'),
  makeModule: async (folder) => {
    await writeFile(join(folder, 'go.mod'), `module plugins\n\ngo 1.24.0\n\nrequire ${MODULE} v${VERSION}\n`);
    return folder;
  },
  mainPackage: `${MODULE}/plugins/meta/flannel`,
  flags: ['-ldflags=-s -w'],
  cgo: false,
};

/** Unpacks and builds the plugins that are missing. `say` is given a line before. */
export async function fillCniPlugins(say: (line: string) => void): Promise<void> {
  await fillRoot(ROOT, say);
  await buildOnce(FLANNEL, say);
}

export interface CniPlugins {
  /** Why they cannot be called, on one line; undefined: they can. */
  readonly missing: string | undefined;
  /** The folder of CNI's plugins. */
  readonly folder: string;
  /** The folder of flannel's plugin. */
  readonly flannelFolder: string;
}

/** Looks for the plugins. */
export async function readCniPlugins(): Promise<CniPlugins> {
  const failure = await rootFailure(ROOT);
  const unpacked = failure === undefined ? undefined : `needs packages of Debian ${ROOT.suite}: ${failure}`;
  const built = existsSync(FLANNEL.path)
    ? undefined
    : `needs ${FLANNEL.title}: ${(await buildFailure(FLANNEL)) ?? 'it was not built'}`;
  return {
    missing: unpacked ?? built,
    folder: join(rootFolder(ROOT), 'usr/lib/cni'),
    flannelFolder: dirname(FLANNEL.path),
  };
}

// The versions of etcd that the suites run beside the installed one.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildFailure, buildOnce, type GoProgram, goCacheFolder } from './go-program.ts';

export const BUILT_VERSIONS = ['3.5.21', '3.6.16', '3.7.3'] as const;
export type BuiltVersion = (typeof BUILT_VERSIONS)[number];

const MAIN = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`;

/** The folder of the built programs. */
export function etcdCacheFolder(): string {
  return goCacheFolder('etcd');
}

/** The program of a version, which exists if it was built. */
export function etcdProgram(version: BuiltVersion): string {
  return join(etcdCacheFolder(), `etcd-${version}`);
}

/** Why a version was not built, on one line; undefined: there is no note. */
export function etcdBuildFailure(version: BuiltVersion): Promise<string | undefined> {
  return buildFailure(programOf(version));
}

/** Builds those of the versions that are missing. `say` is given a line for each one. A failure leaves its note. */
export async function buildEtcdVersions(
  say: (line: string) => void,
  versions: readonly BuiltVersion[] = BUILT_VERSIONS,
): Promise<void> {
  for (const version of versions) await buildOnce(programOf(version), say);
}

function programOf(version: BuiltVersion): GoProgram {
  return {
    title: `etcd ${version}`,
    path: etcdProgram(version),
    makeModule: async (folder) => {
      const needs = `require go.etcd.io/etcd/server/v3 v${version}`;
      await writeFile(join(folder, 'go.mod'), `module etcd\n\ngo 1.21\n\n${needs}\n`);
      await writeFile(join(folder, 'main.go'), MAIN);
      return folder;
    },
    flags: ['-ldflags=-s -w'],
    cgo: false,
  };
}

// The versions of etcd that the suites run beside the installed one. Each is built once from its Go module, into a
// cache folder that all checkouts share. A version that cannot be built leaves a note with the reason there.
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../agent/base/clock.ts';
import { messageOf } from '../../agent/base/errors.ts';
import { run } from './namespace.ts';

export const BUILT_VERSIONS = ['3.5.21', '3.6.16', '3.7.3'] as const;
export type BuiltVersion = (typeof BUILT_VERSIONS)[number];

const BUILD_LIMIT_MS = 8 * 60_000;
/** A failed build is tried again after this time. */
const RETRY_MS = 24 * 3_600_000;

const MAIN = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`;

/** The folder of the built programs. */
export function etcdCacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'twill', 'etcd');
}

/** The program of a version, which exists if it was built. */
export function etcdProgram(version: BuiltVersion): string {
  return join(etcdCacheFolder(), `etcd-${version}`);
}

/** Why a version was not built, on one line; undefined: there is no note. */
export async function etcdBuildFailure(version: BuiltVersion): Promise<string | undefined> {
  return readFile(noteOf(version), 'utf8').catch(() => undefined);
}

function noteOf(version: BuiltVersion): string {
  return `${etcdProgram(version)}.failed`;
}

/** Builds the versions that are missing. `say` is given a line for each one. A failure leaves its note. */
export async function buildEtcdVersions(say: (line: string) => void): Promise<void> {
  for (const version of BUILT_VERSIONS) {
    if ((await modifiedMs(etcdProgram(version))) !== undefined) continue;
    const failedMs = await modifiedMs(noteOf(version));
    if (failedMs !== undefined && systemClock.wallMs() - failedMs < RETRY_MS) continue;
    say(`building etcd ${version} for the tests, once`);
    try {
      await build(version);
      await rm(noteOf(version), { force: true });
    } catch (error) {
      // The last line of Go's output names the reason.
      const reason = messageOf(error).slice(-200);
      await writeFile(noteOf(version), reason);
      say(`cannot build etcd ${version}: ${reason}`);
    }
  }
}

async function build(version: BuiltVersion): Promise<void> {
  await mkdir(etcdCacheFolder(), { recursive: true });
  const folder = await mkdtemp(join(etcdCacheFolder(), '.build-'));
  try {
    const needs = `require go.etcd.io/etcd/server/v3 v${version}`;
    await writeFile(join(folder, 'go.mod'), `module etcd\n\ngo 1.21\n\n${needs}\n`);
    await writeFile(join(folder, 'main.go'), MAIN);
    const settings = ['CGO_ENABLED=0', 'GOFLAGS=-mod=mod', 'GOTOOLCHAIN=local', 'GOWORK=off'];
    const words = [
      'go',
      '-C',
      folder,
      'build',
      '-trimpath',
      '-buildvcs=false',
      '-ldflags=-s -w',
      '-o',
      'etcd',
      '.',
    ];
    await run(['env', ...settings, ...words], { timeoutMs: BUILD_LIMIT_MS, env: process.env });
    await rename(join(folder, 'etcd'), etcdProgram(version));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function modifiedMs(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.mtimeMs;
}

// helm, which the tests of the chart run. It is built once from its Go module.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildFailure, buildOnce, type GoProgram, goEnvironment } from '../go-program.ts';
import { run } from '../namespace.ts';
import { kubernetesCacheFolder } from './programs.ts';

const VERSION = '3.19.4';
const PACKAGE = 'helm.sh/helm/v3/cmd/helm';
const DOWNLOAD_LIMIT_MS = 5 * 60_000;

const HELM: GoProgram = {
  title: `helm ${VERSION}`,
  path: join(kubernetesCacheFolder(), `helm-${VERSION}`),
  makeModule: async (folder) => {
    await writeFile(join(folder, 'go.mod'), 'module helm\n\ngo 1.24.0\n');
    const words = ['go', '-C', folder, 'get', `${PACKAGE}@v${VERSION}`];
    await run(words, { timeoutMs: DOWNLOAD_LIMIT_MS, env: goEnvironment() });
    return folder;
  },
  mainPackage: PACKAGE,
  flags: ['-ldflags=-s -w'],
  cgo: false,
};

/** Builds it, if it is missing. `say` is given a line before. A failure leaves its note. */
export function buildHelm(say: (line: string) => void): Promise<void> {
  return buildOnce(HELM, say);
}

/** Why it is missing, on one line; undefined: it is there. */
export async function helmFailure(): Promise<string | undefined> {
  if (existsSync(HELM.path)) return undefined;
  return `needs ${HELM.title}: ${(await buildFailure(HELM)) ?? 'it was not built'}`;
}

/** Runs helm, and gives its output. It keeps its own files in `folder`. */
export function helm(folder: string, ...args: readonly string[]): Promise<string> {
  return run(['env', `HOME=${folder}`, HELM.path, ...args]);
}

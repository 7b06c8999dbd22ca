// The real flanneld, for hosts that change between it and our agent. It is built from its Go module as it was released,
// but for one backend whose packages not every module proxy has: that of a cloud.
import { existsSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildFailure, buildOnce, type GoProgram, goCacheFolder, goEnvironment } from './go-program.ts';
import { run } from './namespace.ts';

const VERSION = '0.28.9';
const MODULE = 'github.com/flannel-io/flannel';
const LEFT_OUT = `\t_ "${MODULE}/pkg/backend/tencentvpc"\n`;
const FETCH_MS = 120_000;

const FOLDER = join(goCacheFolder('flannel'), VERSION);
const MK_DOCKER_OPTS = join(FOLDER, 'mk-docker-opts.sh');

const PROGRAM: GoProgram = {
  title: `flanneld ${VERSION}`,
  path: join(FOLDER, 'flanneld'),
  makeModule: async (folder) => {
    const module = `${MODULE}@v${VERSION}`;
    const env = goEnvironment();
    const said = await run(['go', 'mod', 'download', '-json', module], { timeoutMs: FETCH_MS, env });
    const source: string = JSON.parse(said).Dir;
    const copy = join(folder, 'flannel');
    await run(['cp', '--recursive', '--no-preserve=mode', source, copy], { timeoutMs: FETCH_MS });
    const main = await readFile(join(copy, 'main.go'), 'utf8');
    if (!main.includes(LEFT_OUT)) throw new Error(`${module} has no line ${LEFT_OUT.trim()}`);
    await writeFile(join(copy, 'main.go'), main.replace(LEFT_OUT, ''));
    await copyFile(join(copy, 'dist/mk-docker-opts.sh'), MK_DOCKER_OPTS);
    return copy;
  },
  flags: [`-ldflags=-s -w -X ${MODULE}/pkg/version.Version=v${VERSION}`],
  // Its udp backend.
  cgo: true,
};

/** The folder of the built program. */
export function flannelCacheFolder(): string {
  return FOLDER;
}

/** Builds it if it is missing. `say` is given a line. A failure leaves a note. */
export function buildFlanneld(say: (line: string) => void): Promise<void> {
  return buildOnce(PROGRAM, say);
}

export interface Flanneld {
  readonly title: string;
  readonly path: string;
  /** The script of the same release. */
  readonly mkDockerOpts: string;
  /** Why it cannot be run, on one line; undefined: it can. */
  readonly missing: string | undefined;
}

/** Looks for the built program. */
export async function readFlanneld(): Promise<Flanneld> {
  const { title, path } = PROGRAM;
  const isBuilt = existsSync(path);
  return {
    title,
    path,
    mkDockerOpts: MK_DOCKER_OPTS,
    missing: isBuilt ? undefined : ((await buildFailure(PROGRAM)) ?? 'it was not built'),
  };
}

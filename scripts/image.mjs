// `npm run image`: the container image of the agent, built by docker, podman or buildah, whichever works here first,
// and a list of the parts in it (SBOM). Options are passed on to the build.
//
//     npm run image                                  twill:<version>, for the architecture of this machine
//     npm run image -- --tag=other/name              under a further name
//     npm run image -- --build-arg=NODE_IMAGE=…      from another base
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatSbom, LIST_PARTS, parseParts } from './image-sbom.mjs';
import { ARCHITECTURES, fetchNodeModules, readTimeS, run } from './package-parts.mjs';
import { settle, writeTree } from './package-tree.mjs';
import { ROOT, setUp } from './setup.mjs';

const OUT = join(ROOT, 'dist/image');
const CONTEXT = join(OUT, 'context');
const DOCKERFILE = join(ROOT, 'deploy/container/Dockerfile');
const BUILD_MS = 900_000;
const ASK_MS = 30_000;

/** @typedef {import('./package-parts.mjs').Architecture} Architecture */
/** @typedef {(image: string, script: string) => string} RunIn Runs a script of the shell in the image. */
/**
 * How an engine differs: the options that give the image one time, its size, and a run in it.
 *
 * @type {Readonly<Record<string, {
 *   readonly timed: (timeS: number) => readonly string[],
 *   readonly size: readonly string[],
 *   readonly runIn: (engine: string) => RunIn,
 * }>>}
 */
const ENGINES = {
  docker: {
    timed: (timeS) => [`--build-arg=SOURCE_DATE_EPOCH=${timeS}`],
    size: ['image', 'inspect', '--format={{.Size}}'],
    runIn: runOnce,
  },
  podman: {
    timed: (timeS) => [`--timestamp=${timeS}`],
    size: ['image', 'inspect', '--format={{.Size}}'],
    runIn: runOnce,
  },
  buildah: {
    timed: (timeS) => [`--timestamp=${timeS}`],
    size: ['images', '--format={{.Size}}'],
    runIn: (engine) => (image, script) => {
      const container = ask(engine, ['from', '--pull=never', image]);
      try {
        return ask(engine, ['run', container, '--', 'sh', '-c', script]);
      } finally {
        ask(engine, ['rm', container]);
      }
    },
  },
};

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

/** @param {readonly string[]} options */
async function main(options) {
  if (options.some((option) => !option.startsWith('-')))
    throw new Error('the only arguments are options of the build, such as --build-arg=NODE_IMAGE=…');
  const engine = Object.keys(ENGINES).find(works);
  const habits = engine === undefined ? undefined : ENGINES[engine];
  if (engine === undefined || habits === undefined)
    throw new Error(`none of ${Object.keys(ENGINES).join(', ')} works here`);
  await setUp([]);
  const { version, description, license, dependencies } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  );
  const timeS = readTimeS();
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(CONTEXT, { recursive: true });
  for (const architecture of /** @type {Architecture[]} */ (Object.keys(ARCHITECTURES))) {
    const folder = join(CONTEXT, architecture);
    writeTree(folder, architecture, fetchNodeModules(architecture));
    settle(folder, timeS);
  }
  const labels = {
    CREATED: new Date(timeS * 1_000).toISOString(),
    DESCRIPTION: description,
    LICENSES: license,
    REVISION: git('rev-parse', 'HEAD'),
    SOURCE: /^https:\S+$/.exec(git('remote', 'get-url', 'origin'))?.[0] ?? '',
    VERSION: version,
  };
  const image = `twill:${version}`;
  const labelArgs = Object.entries(labels).map(([name, value]) => `--build-arg=${name}=${value}`);
  const words = ['build', `--file=${DOCKERFILE}`, `--tag=${image}`, ...habits.timed(timeS), ...labelArgs];
  const { status, error } = spawnSync(engine, [...words, ...options, CONTEXT], {
    stdio: 'inherit',
    timeout: BUILD_MS,
  });
  if (status !== 0) throw new Error(error?.message ?? `${engine} build ended with exit code ${status}`);
  // Several architectures at once, or an image that was pushed, have no single image here.
  if (options.some((option) => /^--(?:platform|push|output)\b/.test(option))) return;
  const { node, packages } = parseParts(habits.runIn(engine)(image, LIST_PARTS));
  const architecture = packages.find(({ name }) => name === 'dpkg')?.architecture ?? '';
  // With --omit=dev npm leaves out a dependency that a tool of the developers may use too.
  const npm = ['sbom', '--sbom-format=cyclonedx', '--offline'];
  const sbom = formatSbom({
    npm: JSON.parse(run('npm', npm, ASK_MS)),
    dependencies: Object.keys(dependencies),
    packages,
    node,
    image,
    created: labels.CREATED,
  });
  const file = join(OUT, `twill-${version}-${architecture}.cdx.json`);
  writeFileSync(file, sbom);
  const size = ask(engine, [...habits.size, image]);
  const text = /^\d+$/.test(size) ? `${Math.round(Number(size) / 1e6)} MB` : size;
  process.stdout.write(`${image}  ${text}, by ${engine}\n${file}\n`);
}

/** @param {string} engine */
function works(engine) {
  return spawnSync(engine, ['version'], { stdio: 'ignore', timeout: ASK_MS }).status === 0;
}

/**
 * @param {string} engine
 * @returns {RunIn}
 */
function runOnce(engine) {
  return (image, script) =>
    ask(engine, ['run', '--rm', '--network=none', '--entrypoint=sh', image, '-c', script]);
}

/**
 * @param {string} engine
 * @param {readonly string[]} args
 */
function ask(engine, args) {
  return run(engine, args, ASK_MS).trim();
}

/** @param {readonly string[]} args */
function git(...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8', timeout: ASK_MS });
  return status === 0 ? stdout.trim() : '';
}

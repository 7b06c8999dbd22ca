// Fills the cache of the engines: everything that the tests of engines start. `scripts/test.mjs` calls it before the
// suite enters its own network, which leads nowhere.
import { fillImageCache } from './agent-image.ts';
import { fillRoot } from './debian-root.ts';
import { DOCKER_SUITES, rootsOfDocker } from './dockers.ts';
import { makeImage } from './image.ts';
import { PODMAN_ROOTS } from './podmans.ts';

export { engineCacheFolder } from './debian-root.ts';

/** Unpacks the programs of whole Kubernetes nodes that are missing: one Docker's containerd, and the images. */
export async function fillNodeCache(say: (line: string) => void): Promise<void> {
  for (const root of rootsOfDocker('bookworm')) await fillRoot(root, say);
  await makeImage(say);
  await fillImageCache(say);
}

/** Unpacks the programs that are missing. `say` is given a line for each step, and for each failure. */
export async function fillEngineCache(say: (line: string) => void): Promise<void> {
  for (const root of new Set([...DOCKER_SUITES.flatMap(rootsOfDocker), ...PODMAN_ROOTS]))
    await fillRoot(root, say);
  await makeImage(say);
  await fillImageCache(say);
}
